"""Protobuf (and its canonical JSON) to domain and back, nothing else."""

from scoring.wire.decision_json import decision_to_json
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
from scoring.wire.framing import frame_of, unframed
from scoring.wire.labels import (
    label_from_bytes,
    label_from_proto,
    label_to_proto,
)
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
    "accepted_from_proto",
    "carried_of",
    "core_to_bytes",
    "decision_from_bytes",
    "decision_of",
    "decision_part",
    "decision_to_bytes",
    "decision_to_json",
    "door_of",
    "field_to_bytes",
    "frame_of",
    "label_from_bytes",
    "label_from_proto",
    "label_to_proto",
    "logged_to_bytes",
    "message_from_bytes",
    "ms_from_timestamp",
    "payment_of",
    "position_of",
    "recorded",
    "recorded_to_bytes",
    "refuse_unknown_fields",
    "text_from_ms",
    "timestamp_from_ms",
    "trace_to_bytes",
    "transaction_from_bytes",
    "transaction_from_proto",
    "transaction_to_proto",
    "unframed",
    "varint_to_bytes",
]
