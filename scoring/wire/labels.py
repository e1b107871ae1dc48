"""Labels: protobuf to domain and back."""

from __future__ import annotations

from scoring.core.transaction.label import Label
from scoring.core.transaction.transaction import DEFAULT_TENANT
from scoring.v1 import transaction_pb2
from scoring.wire.messages import (
    PROTOBUF,
    message_from_bytes,
    refuse_unknown_fields,
    required_ms,
    timestamp_from_ms,
)
from scoring.wire.transactions import transaction_from_proto, transaction_to_proto


def label_from_bytes(raw: bytes, *, content_type: str = PROTOBUF) -> Label:
    """Read a label; raises `InvalidTransaction`. Limits are not checked here."""
    return label_from_proto(
        message_from_bytes(raw, transaction_pb2.Label, content_type)
    )


def label_from_proto(message: transaction_pb2.Label) -> Label:
    """Translate; refuses unknown fields and a missing time."""
    refuse_unknown_fields(message)
    known_at_ms = required_ms(message, "known_at")
    return Label(
        tenant=message.tenant or DEFAULT_TENANT,
        transaction_id=message.transaction_id,
        version=message.version,
        verdict=message.verdict,
        known_at_ms=known_at_ms,
        source=message.source,
        transaction=transaction_from_proto(message.transaction)
        if message.HasField("transaction")
        else None,
    )


def label_to_proto(label: Label) -> transaction_pb2.Label:
    """Translate; absent fields stay absent."""
    return transaction_pb2.Label(
        tenant=label.tenant,
        transaction_id=label.transaction_id,
        version=label.version,
        verdict=label.verdict,  # type: ignore[arg-type]
        source=label.source,  # type: ignore[arg-type]
        known_at=timestamp_from_ms(label.known_at_ms),
        transaction=transaction_to_proto(label.transaction)
        if label.transaction
        else None,
    )
