"""Records of the log as rows of a table: one column a field, and the bytes beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from scoring import wire
from scoring.core.decision.decision import Arm, DegradationCode, Door, Outcome
from scoring.core.transaction.fields import Field, FieldType, Role
from scoring.core.transaction.label import Label, LabelSource, Verdict
from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.core.transaction.payment_terms import ThreeDsStatus
from scoring.core.transaction.transaction import ATTEMPT_MAX, FIELDS, Transaction
from scoring.errors import InvalidTransaction
from scoring.kafka.record_values import opened, receipt_ms
from scoring.v1 import decision_pb2
from scoring.wire.messages import TIMESTAMP_MS_MAX

Row = dict[str, Any]
_TYPES: dict[FieldType, pa.DataType] = {
    FieldType.TEXT: pa.string(),
    FieldType.CODE: pa.string(),
    FieldType.NAME: pa.int32(),
    FieldType.WHOLE: pa.int32(),
    FieldType.MONEY: pa.int64(),
    FieldType.REAL: pa.float64(),
    FieldType.INSTANT: pa.int64(),
    FieldType.TEXTS: pa.map_(pa.string(), pa.string()),
    FieldType.NUMBERS: pa.map_(pa.string(), pa.float64()),
}
_INT64_MAX = 2**63 - 1
PLACE = (("log_partition", pa.int32()), ("log_offset", pa.int64()))
TRANSACTION_FIELDS = tuple(field.name for field in FIELDS)
_EMPTY = {
    FieldType.TEXTS: "MAP {}::MAP(VARCHAR, VARCHAR)",
    FieldType.NUMBERS: "MAP {}::MAP(VARCHAR, DOUBLE)",
}
DECISIONS = pa.schema(
    [
        *((field.name, _TYPES[field.type]) for field in FIELDS),
        ("payload_hash", pa.binary()),
        ("received_at_ms", pa.int64()),
        ("decided_at_ms", pa.int64()),
        ("processed_seq", pa.int64()),
        ("door", pa.string()),
        ("outcome", pa.string()),
        ("score", pa.float64()),
        ("provisional", pa.bool_()),
        ("degradations", pa.list_(pa.string())),
        ("inexact_features", pa.list_(pa.string())),
        ("model_version", pa.string()),
        ("policy_version", pa.string()),
        ("features_version", pa.string()),
        ("rates_version", pa.string()),  # of the rates effective by its time
        ("arm", pa.string()),  # of a rollout; null: there was none
        ("let_through", pa.float64()),  # its probability; null: not of the sample
        ("features", pa.list_(pa.float32())),
        ("decision", pa.binary()),  # core and trace, as recorded
        *PLACE,
    ]
)
LABELS = pa.schema(
    [
        ("tenant", pa.string()),
        ("transaction_id", pa.string()),
        ("version", pa.int64()),
        ("verdict", pa.string()),
        ("fraud", pa.bool_()),
        ("known_at_ms", pa.int64()),
        ("source", pa.string()),
        ("transaction", pa.binary()),  # the embedded one, where there is one
        ("received_at_ms", pa.int64()),  # null: archived by an earlier release
        *PLACE,
    ]
)
EVENTS = pa.schema(
    [
        ("tenant", pa.string()),
        ("transaction_id", pa.string()),
        ("event_id", pa.string()),
        ("kind", pa.string()),
        ("occurred_at_ms", pa.int64()),
        ("amount_minor", pa.int64()),  # null: all of the payment
        ("issuer_code", pa.string()),
        ("three_ds_result", pa.string()),
        ("known_at_ms", pa.int64()),
        ("transaction", pa.binary()),  # the embedded one, where there is one
        ("received_at_ms", pa.int64()),
        *PLACE,
    ]
)


def selected(table: str = "") -> str:
    """The SQL of a transaction's fields, in order, as `Transaction` takes them.

    An archive of an earlier release lacks what is kept since: it is not known there.

    >>> selected("d.")[:42]
    "d.tenant, d.id, coalesce(d.payment_id, '')"
    """
    return ", ".join(_selected(field, f"{table}{field.name}") for field in FIELDS)


def _selected(field: Field, column: str) -> str:
    if field.absent is None or field.required or field.role is Role.SCOPE:
        return column
    return f"coalesce({column}, {_EMPTY.get(field.type, repr(field.absent))})"


def decision_row(record: Any) -> Row:
    """One record of the decisions topic; a `ScoringError` where it is none of ours."""
    value, content_type = opened(record)
    message = wire.message_from_bytes(value, decision_pb2.Decision, content_type)
    if not message.HasField("transaction"):
        raise InvalidTransaction("transaction", "is missing: it is no logged decision")
    try:
        return _row_of(message, record)
    except ValueError as error:
        raise InvalidTransaction(
            "", "holds a word, a number or a time that this release does not know"
        ) from error


def _row_of(message: decision_pb2.Decision, record: Any) -> Row:
    transaction = wire.accepted_from_proto(message.transaction)
    core, trace = message.core, message.trace
    received_at_ms = wire.ms_from_timestamp(message.received_at)
    decided_at_ms = wire.ms_from_timestamp(trace.decided_at)
    _refuse_beyond(transaction.occurred_at_ms, TIMESTAMP_MS_MAX)
    _refuse_beyond(received_at_ms, TIMESTAMP_MS_MAX)
    _refuse_beyond(decided_at_ms, TIMESTAMP_MS_MAX)
    _refuse_beyond(transaction.attempt, ATTEMPT_MAX)
    _refuse_beyond(trace.processed_seq, _INT64_MAX)
    return {
        **{name: getattr(transaction, name) for name in TRANSACTION_FIELDS},
        "payload_hash": core.payload_hash,
        "received_at_ms": received_at_ms,
        "decided_at_ms": decided_at_ms,
        "processed_seq": trace.processed_seq,
        "door": Door(trace.door).name.lower(),
        "outcome": Outcome(core.outcome).name.lower(),
        "score": core.score if core.HasField("score") else None,
        "provisional": core.provisional,
        "degradations": [_degradation(d.code) for d in core.degradations],
        "inexact_features": list(core.inexact_features),
        "model_version": core.versions.model,
        "policy_version": core.versions.policy,
        "features_version": core.versions.features,
        "rates_version": core.versions.rates,
        "arm": Arm(core.arm).name.lower() if core.arm else None,
        "let_through": core.let_through if core.HasField("let_through") else None,
        "features": list(core.features),
        "decision": _recorded(message),
        "log_partition": record.partition,
        "log_offset": record.offset,
    }


def _refuse_beyond(number: int, most: int) -> None:
    if not 0 <= number <= most:
        raise ValueError("a number beyond what is ever written here")


def _degradation(code: int) -> str:
    return DegradationCode(code).name.lower()


def _recorded(message: decision_pb2.Decision) -> bytes:
    """The bytes that the store held: the record without what the log adds."""
    return wire.decision_to_bytes(
        message.core.SerializeToString(deterministic=True),
        message.trace.SerializeToString(deterministic=True),
    )


def label_row(record: Any, admit: Callable[[Any], Label]) -> Row:
    """One record of the labels topic; a `ScoringError` where the door refuses it.

    `admit` is the stream door's own.
    """
    label = admit(record)
    return {
        "tenant": label.tenant,
        "transaction_id": label.transaction_id,
        "version": label.version,
        "verdict": Verdict(label.verdict).name.lower(),
        "fraud": label.fraud,
        "known_at_ms": label.known_at_ms,
        "source": LabelSource(label.source).name.lower(),
        "transaction": _embedded(label.transaction),
        "received_at_ms": receipt_ms(record),
        "log_partition": record.partition,
        "log_offset": record.offset,
    }


def event_row(record: Any, admit: Callable[[Any], LifecycleEvent]) -> Row:
    """One record of the events topic; as `label_row`."""
    event = admit(record)
    result = event.three_ds_result
    return {
        "tenant": event.tenant,
        "transaction_id": event.transaction_id,
        "event_id": event.event_id,
        "kind": LifecycleKind(event.kind).name.lower(),
        "occurred_at_ms": event.occurred_at_ms,
        "amount_minor": event.amount_minor,
        "issuer_code": event.issuer_code,
        "three_ds_result": ThreeDsStatus(result).name.lower() if result else "",
        "known_at_ms": event.known_at_ms,
        "transaction": _embedded(event.transaction),
        "received_at_ms": receipt_ms(record),
        "log_partition": record.partition,
        "log_offset": record.offset,
    }


def _embedded(transaction: Transaction | None) -> bytes | None:
    if transaction is None:
        return None
    message = wire.transaction_to_proto(transaction)
    return message.SerializeToString(deterministic=True)
