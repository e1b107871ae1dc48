"""Transactions: protobuf to domain and back."""

from __future__ import annotations

from scoring.core.transaction.transaction import DEFAULT_TENANT, Transaction
from scoring.v1 import transaction_pb2
from scoring.wire.messages import (
    PROTOBUF,
    message_from_bytes,
    refuse_unknown_fields,
    required_ms,
    timestamp_from_ms,
)

_TEXT_FIELDS = (
    "payment_id", "currency", "card", "customer", "merchant", "terminal", "device",
    "merchant_category", "card_country", "merchant_country", "ip_country",
)  # fmt: skip


def transaction_from_bytes(raw: bytes, *, content_type: str = PROTOBUF) -> Transaction:
    """Read a transaction; raises `InvalidTransaction`. Limits are not checked here."""
    return transaction_from_proto(
        message_from_bytes(raw, transaction_pb2.Transaction, content_type)
    )


def transaction_from_proto(message: transaction_pb2.Transaction) -> Transaction:
    """Translate; refuses unknown fields and a missing time."""
    refuse_unknown_fields(message)
    occurred_at_ms = required_ms(message, "occurred_at")
    latitude = longitude = None
    if message.HasField("location"):
        refuse_unknown_fields(message.location, "location")
        latitude = message.location.latitude
        longitude = message.location.longitude
    return Transaction(
        message.tenant or DEFAULT_TENANT,
        message.id,
        message.payment_id,
        message.attempt,
        occurred_at_ms,
        message.amount_minor if message.HasField("amount_minor") else None,
        message.currency,
        message.card,
        message.customer,
        message.merchant,
        message.terminal,
        message.device,
        message.channel,
        message.entry_mode,
        message.merchant_category,
        message.card_country,
        message.merchant_country,
        message.ip_country,
        latitude,
        longitude,
        dict(message.attributes) if message.attributes else {},
    )


def transaction_to_proto(transaction: Transaction) -> transaction_pb2.Transaction:
    """Translate; absent fields stay absent."""
    t = transaction
    message = transaction_pb2.Transaction(
        tenant=t.tenant,
        id=t.id,
        attempt=t.attempt,
        occurred_at=timestamp_from_ms(t.occurred_at_ms),
        amount_minor=t.amount_minor,
        channel=t.channel,  # type: ignore[arg-type]
        entry_mode=t.entry_mode,  # type: ignore[arg-type]
    )
    for name in _TEXT_FIELDS:
        text = getattr(t, name)
        if text:
            setattr(message, name, text)
    if t.latitude is not None and t.longitude is not None:
        message.location.latitude = t.latitude
        message.location.longitude = t.longitude
    if t.attributes:
        message.attributes.update(t.attributes)
    return message
