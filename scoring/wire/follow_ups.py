"""Follow-ups: labels and lifecycle events, protobuf to domain and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from scoring.core.transaction.label import Label
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import DEFAULT_TENANT
from scoring.v1 import transaction_pb2
from scoring.wire.messages import (
    PROTOBUF,
    field_to_bytes,
    message_from_bytes,
    refuse_unknown_fields,
    required_ms,
    timestamp_from_ms,
)
from scoring.wire.transactions import transaction_from_proto, transaction_to_proto

_SAID_BYTES = 8  # of a digest: by that what is told again is held to what is recorded


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


def event_from_bytes(raw: bytes, *, content_type: str = PROTOBUF) -> LifecycleEvent:
    """Read an event; raises `InvalidTransaction`. Limits are not checked here."""
    return event_from_proto(
        message_from_bytes(raw, transaction_pb2.LifecycleEvent, content_type)
    )


def event_from_proto(message: transaction_pb2.LifecycleEvent) -> LifecycleEvent:
    """Translate; refuses unknown fields and a missing time of what happened."""
    refuse_unknown_fields(message)
    occurred_at_ms = required_ms(message, "occurred_at")
    return LifecycleEvent(
        tenant=message.tenant or DEFAULT_TENANT,
        transaction_id=message.transaction_id,
        event_id=message.event_id,
        kind=message.kind,
        occurred_at_ms=occurred_at_ms,
        amount_minor=message.amount_minor if message.HasField("amount_minor") else None,
        issuer_code=message.issuer_code,
        three_ds_result=message.three_ds_result,
        known_at_ms=required_ms(message, "known_at")
        if message.HasField("known_at")
        else 0,
        transaction=transaction_from_proto(message.transaction)
        if message.HasField("transaction")
        else None,
    )


def event_to_proto(event: LifecycleEvent) -> transaction_pb2.LifecycleEvent:
    """Translate; absent fields stay absent."""
    return transaction_pb2.LifecycleEvent(
        tenant=event.tenant,
        transaction_id=event.transaction_id,
        event_id=event.event_id,
        kind=event.kind,  # type: ignore[arg-type]
        occurred_at=timestamp_from_ms(event.occurred_at_ms),
        amount_minor=event.amount_minor,
        issuer_code=event.issuer_code,
        three_ds_result=event.three_ds_result,  # type: ignore[arg-type]
        known_at=timestamp_from_ms(event.known_at_ms) if event.known_at_ms else None,
        transaction=transaction_to_proto(event.transaction)
        if event.transaction
        else None,
    )


def follow_up_to_bytes(told: Label | LifecycleEvent) -> bytes:
    """A follow-up as the log and the store keep it."""
    message = label_to_proto(told) if isinstance(told, Label) else event_to_proto(told)
    return message.SerializeToString(deterministic=True)


def said_of(told: Label | LifecycleEvent) -> bytes:
    """What a repeat of a follow-up says again: the verdict, or the event's fields.

    When it became known is no part of that, nor what was sent along.

    >>> event = LifecycleEvent("default", "t1", "e1", 1, occurred_at_ms=5)
    >>> said_of(event) == said_of(replace(event, known_at_ms=7))
    True
    """
    if isinstance(told, Label):
        said = b"%d" % told.verdict
    else:
        said = follow_up_to_bytes(replace(told, known_at_ms=0, transaction=None))
    return sha256(said).digest()[:_SAID_BYTES]


def life_to_bytes(
    decision: bytes, labels: Iterable[bytes], events: Iterable[bytes]
) -> bytes:
    """A GetDecisionResponse: what was decided, and what became known since."""
    told = sorted(map(transaction_pb2.Label.FromString, labels), key=_version)
    happened = map(transaction_pb2.LifecycleEvent.FromString, events)
    return b"".join(
        [
            field_to_bytes(1, decision),
            *(field_to_bytes(2, label.SerializeToString()) for label in told),
            *(
                field_to_bytes(3, e.SerializeToString())
                for e in sorted(happened, key=_instant)
            ),
        ]
    )


def _version(label: transaction_pb2.Label) -> int:
    return label.version


def _instant(event: transaction_pb2.LifecycleEvent) -> tuple[int, int, str]:
    return event.occurred_at.seconds, event.occurred_at.nanos, event.event_id
