"""Protobuf (and its canonical JSON) to domain and back, nothing else."""

from scoring.wire.decision_json import FeatureNames, decision_to_json
from scoring.wire.decisions import (
    carried_of,
    core_to_bytes,
    decision_from_bytes,
    decision_part,
    decision_to_bytes,
    door_of,
    logged_to_bytes,
    position_of,
    recorded,
    trace_to_bytes,
)
from scoring.wire.follow_ups import (
    event_from_bytes,
    event_from_proto,
    event_to_proto,
    follow_up_to_bytes,
    label_from_bytes,
    label_from_proto,
    label_to_proto,
    life_to_bytes,
    said_of,
)
from scoring.wire.framing import frame_of, unframed
from scoring.wire.json_text import message_from_value, value_from_json
from scoring.wire.messages import (
    JSON,
    PROTOBUF,
    field_to_bytes,
    message_from_bytes,
    ms_from_timestamp,
    refuse_unknown_fields,
    text_from_ms,
    timestamp_from_ms,
    varint_to_bytes,
)
from scoring.wire.routes import ROUTES, Route
from scoring.wire.stored_decisions import decision_of, payment_of, recorded_to_bytes
from scoring.wire.transactions import (
    accepted_from_proto,
    transaction_from_bytes,
    transaction_from_proto,
    transaction_to_proto,
)

__all__ = [
    "JSON",
    "PROTOBUF",
    "ROUTES",
    "FeatureNames",
    "Route",
    "accepted_from_proto",
    "carried_of",
    "core_to_bytes",
    "decision_from_bytes",
    "decision_of",
    "decision_part",
    "decision_to_bytes",
    "decision_to_json",
    "door_of",
    "event_from_bytes",
    "event_from_proto",
    "event_to_proto",
    "field_to_bytes",
    "follow_up_to_bytes",
    "frame_of",
    "label_from_bytes",
    "label_from_proto",
    "label_to_proto",
    "life_to_bytes",
    "logged_to_bytes",
    "message_from_bytes",
    "message_from_value",
    "ms_from_timestamp",
    "payment_of",
    "position_of",
    "recorded",
    "recorded_to_bytes",
    "refuse_unknown_fields",
    "said_of",
    "text_from_ms",
    "timestamp_from_ms",
    "trace_to_bytes",
    "transaction_from_bytes",
    "transaction_from_proto",
    "transaction_to_proto",
    "unframed",
    "value_from_json",
    "varint_to_bytes",
]
