"""Protobuf (and its canonical JSON) to domain and back, nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet

from scoring.core.decision import DecisionCore, Door, Reason
from scoring.core.label import Label
from scoring.core.transaction import DEFAULT_TENANT, Transaction
from scoring.errors import InvalidTransaction
from scoring.ports import Check
from scoring.v1 import decision_pb2, transaction_pb2

M = TypeVar("M", bound=Message)
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_MS_PER_S = 1_000
_NS_PER_MS = 1_000_000

_TEXT_FIELDS = (
    "payment_id", "currency", "card", "customer", "merchant", "terminal", "device",
    "merchant_category", "card_country", "merchant_country", "ip_country",
)  # fmt: skip


# Messages -------------------------------------------------------------------


def message_from_bytes(raw: bytes, kind: type[M], content_type: str) -> M:
    """Parse one message; raises `InvalidTransaction` for bytes that are not it.

    Unknown fields are refused: what we cannot read we cannot hash.
    """
    if content_type == JSON:
        return _from_json(raw, kind)
    if content_type != PROTOBUF:
        raise InvalidTransaction("content-type", f"must be {PROTOBUF} or {JSON}")
    message = kind()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise InvalidTransaction("", f"the bytes are not a {_name(kind)}") from error
    return message


def _from_json(raw: bytes, kind: type[M]) -> M:
    message = kind()
    try:
        json_format.Parse(raw, message, max_recursion_depth=16)
    except UnicodeDecodeError as error:
        raise InvalidTransaction("", "the bytes are not UTF-8 JSON") from error
    except (json_format.ParseError, RecursionError) as error:
        field = _field_of(str(error))
        problem = (
            f"is not a field of {_name(kind)}, or not of its type"
            if field
            else f"the JSON is not a {_name(kind)}"
        )
        raise InvalidTransaction(field, problem) from error
    return message


def _name(kind: type[Message]) -> str:
    return str(kind.DESCRIPTOR.full_name)


def _field_of(problem: str) -> str:
    """Take the field name out of json_format's sentence; empty where it has none."""
    for opening, closing in (
        ("Failed to parse ", " field"),
        ('has no field named "', '"'),
    ):
        _, found, rest = problem.partition(opening)
        if found:
            name = rest.split(closing)[0].strip()
            return name if name.isidentifier() and name.isascii() else ""
    return ""


def refuse_unknown_fields(message: Message, path: str = "") -> None:
    """Raise `InvalidTransaction` when a message carries fields we do not know."""
    if len(UnknownFieldSet(message)):
        number = UnknownFieldSet(message)[0].field_number
        raise InvalidTransaction(
            path or "transaction", f"has field {number}, which this version lacks"
        )


# Transactions -----------------------------------------------------------------


def transaction_from_bytes(raw: bytes, *, content_type: str = PROTOBUF) -> Transaction:
    """Read a transaction; raises `InvalidTransaction`. Limits are not checked here."""
    return transaction_from_proto(
        message_from_bytes(raw, transaction_pb2.Transaction, content_type)
    )


def transaction_from_proto(message: transaction_pb2.Transaction) -> Transaction:
    """Translate; refuses unknown fields and a missing time."""
    refuse_unknown_fields(message)
    if not message.HasField("occurred_at"):
        raise InvalidTransaction("occurred_at", "is required")
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
        ms_from_timestamp(message.occurred_at),
        message.amount_minor,
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


def ms_from_timestamp(timestamp: Timestamp) -> int:
    """Milliseconds since 1970, truncated.

    >>> ms_from_timestamp(Timestamp(seconds=1, nanos=2_999_999))
    1002
    """
    return timestamp.seconds * _MS_PER_S + timestamp.nanos // _NS_PER_MS


def timestamp_from_ms(ms: int) -> Timestamp:
    """Milliseconds since 1970 as a protobuf timestamp."""
    seconds, rest = divmod(ms, _MS_PER_S)
    return Timestamp(seconds=seconds, nanos=rest * _NS_PER_MS)


def text_from_ms(ms: int) -> str:
    """ISO 8601 in UTC, for people.

    >>> text_from_ms(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(ms / _MS_PER_S, UTC).isoformat()


# Labels -------------------------------------------------------------------------


def label_from_bytes(raw: bytes, *, content_type: str = PROTOBUF) -> Label:
    """Read a label; raises `InvalidTransaction`. Limits are not checked here."""
    return label_from_proto(
        message_from_bytes(raw, transaction_pb2.Label, content_type)
    )


def label_from_proto(message: transaction_pb2.Label) -> Label:
    """Translate; refuses unknown fields and a missing time."""
    refuse_unknown_fields(message)
    if not message.HasField("known_at"):
        raise InvalidTransaction("known_at", "is required")
    return Label(
        tenant=message.tenant or DEFAULT_TENANT,
        transaction_id=message.transaction_id,
        version=message.version,
        verdict=message.verdict,
        known_at_ms=ms_from_timestamp(message.known_at),
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


# Decisions ----------------------------------------------------------------------


def core_to_bytes(core: DecisionCore) -> bytes:
    """Encode the deterministic part; equal cores give equal bytes."""
    message = decision_pb2.DecisionCore(
        tenant=core.tenant,
        transaction_id=core.transaction_id,
        payload_hash=core.payload_hash,
        outcome=core.outcome,  # type: ignore[arg-type]
        score=core.score,
        margin=core.margin,
        provisional=core.provisional,
        rung=core.rung,  # type: ignore[arg-type]
        inexact_features=core.inexact_features,
        target=core.target,  # type: ignore[arg-type]
        second_look=core.second_look,  # type: ignore[arg-type]
    )
    for reason in core.reasons:
        _add_reason(message, reason)
    for hit in core.rule_hits:
        message.rule_hits.add(
            rule=hit.rule,
            outcome=hit.outcome,  # type: ignore[arg-type]
            mode=hit.mode,  # type: ignore[arg-type]
            unknown=hit.unknown,
        )
    for degradation in core.degradations:
        message.degradations.add(
            code=degradation.code,  # type: ignore[arg-type]
            detail=degradation.detail,
        )
    message.versions.model = core.versions.model
    message.versions.policy = core.versions.policy
    message.versions.features = core.versions.features
    if core.features:
        # Packed little-endian float32 is the wire format of `features` itself.
        message.MergeFromString(b"\x6a" + _varint(len(core.features)) + core.features)
    return message.SerializeToString(deterministic=True)


def _add_reason(message: decision_pb2.DecisionCore, reason: Reason) -> None:
    added = message.reasons.add(
        code=reason.code,
        wording=reason.wording,
        source=reason.source,  # type: ignore[arg-type]
        contribution=reason.contribution,
    )
    if reason.velocity:
        velocity = reason.velocity
        added.velocity.feature = velocity.feature
        added.velocity.observed = velocity.observed
        added.velocity.limit = velocity.limit
        added.velocity.exact = velocity.exact
        if velocity.clears_at_ms is not None:
            added.velocity.clears_at.CopyFrom(timestamp_from_ms(velocity.clears_at_ms))


def trace_to_bytes(
    check: Check,
    *,
    decided_at_ms: int,
    stages_us: dict[str, int],
    batch_size: int,
    processed_seq: int,
) -> bytes:
    """Encode the part that differs between runs."""
    message = decision_pb2.DecisionTrace(
        door=check.door,  # type: ignore[arg-type]
        position=check.position,
        decided_at=timestamp_from_ms(decided_at_ms),
        batch_size=batch_size,
        traceparent=check.traceparent,
        processed_seq=processed_seq,
        attempt=check.transaction.attempt,
    )
    for stage, duration_us in stages_us.items():
        message.stages.add(stage=stage, duration_us=duration_us)
    return message.SerializeToString(deterministic=True)


def decision_to_bytes(core: bytes, trace: bytes) -> bytes:
    """The encoded Decision: what is recorded, and returned byte for byte."""
    return field_to_bytes(1, core) + field_to_bytes(2, trace)


def logged_to_bytes(decision: bytes, check: Check) -> bytes:
    """The encoded Decision with its accepted transaction, for the decisions topic."""
    return (
        decision
        + field_to_bytes(3, transaction_to_proto(check.transaction).SerializeToString())
        + field_to_bytes(4, timestamp_from_ms(check.received_at_ms).SerializeToString())
    )


def transaction_of(logged: bytes) -> Transaction:
    """The accepted transaction of a record of the decisions topic."""
    return transaction_from_proto(decision_from_bytes(logged).transaction)


def decision_from_bytes(raw: bytes) -> decision_pb2.Decision:
    """Parse what `decision_to_bytes` or `logged_to_bytes` wrote."""
    return decision_pb2.Decision.FromString(raw)


def decision_to_json(raw: bytes) -> bytes:
    """Canonical JSON of an encoded Decision, one line."""
    return json_format.MessageToJson(
        decision_from_bytes(raw), indent=None, ensure_ascii=False
    ).encode()


def position_of(decision: bytes) -> str:
    """Which input record made a recorded decision; empty for gRPC."""
    return decision_from_bytes(decision).trace.position


def door_of(decision: bytes) -> Door:
    """Which door made a recorded decision."""
    return Door(decision_from_bytes(decision).trace.door)


def field_to_bytes(number: int, content: bytes) -> bytes:
    """One length-delimited protobuf field (number below 16).

    >>> field_to_bytes(1, b"ab")
    b'\\n\\x02ab'
    """
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Encode a non-negative number as a protobuf varint.

    >>> _varint(300)
    b'\\xac\\x02'
    """
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
