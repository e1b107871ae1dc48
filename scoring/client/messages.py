"""Requests and replies of the client: domain to bytes, statuses to errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import grpc

from scoring import wire
from scoring.core.transaction.fields import FieldType
from scoring.core.transaction.label import Label
from scoring.core.transaction.transaction import FIELDS, Transaction
from scoring.errors import (
    DeadlineExceeded,
    Denied,
    InvalidTransaction,
    LabelConflict,
    NotFound,
    ScoringError,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
)
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import transaction_pb2
from scoring.v1.decision_pb2 import Decision

FIELD_KEY = "scoring-field"
_MISFITS = (TypeError, ValueError, AttributeError)  # as protobuf refuses a value
_TYPES = {
    FieldType.TEXT: "must be a str",
    FieldType.CODE: "must be a str",
    FieldType.NAME: "must be a member of its enumeration, such as Channel.ECOMMERCE",
    FieldType.WHOLE: "must be an int",
    FieldType.MONEY: "must be an int",
    FieldType.REAL: "must be a float",
    FieldType.INSTANT: "must be an int of milliseconds since 1970",
    FieldType.TEXTS: "must map str to str",
    FieldType.NUMBERS: "must map str to float",
}
_DIFFERS = re.compile(r", which differs in ([a-z_]+(?:, [a-z_]+)*);")
RETRY_KEY = "grpc-retry-pushback-ms"


def check_request(
    transaction: Transaction, *, dry_run: bool
) -> calls.CheckTransactionRequest:
    """Ask for one decision."""
    return calls.CheckTransactionRequest(
        transaction=_written(transaction), dry_run=dry_run
    )


def batch_request(
    transactions: Sequence[Transaction], *, dry_run: bool
) -> calls.BatchCheckTransactionsRequest:
    """Ask for many decisions at once."""
    return calls.BatchCheckTransactionsRequest(
        transactions=[_written(t) for t in transactions],
        dry_run=dry_run,
    )


def stream_request(
    transaction: Transaction, *, budget_ms: int, dry_run: bool
) -> calls.StreamCheckTransactionsRequest:
    """Ask for one decision on a stream."""
    return calls.StreamCheckTransactionsRequest(
        transaction=_written(transaction),
        budget_ms=budget_ms,
        dry_run=dry_run,
    )


def _written(transaction: Transaction) -> transaction_pb2.Transaction:
    """The message of a transaction; a value of another type is refused by its field.

    >>> _written(Transaction("default", "t1", amount_minor="5"))
    Traceback (most recent call last):
    scoring.errors.InvalidTransaction: amount_minor: must be an int
    """
    try:
        return wire.transaction_to_proto(transaction)
    except _MISFITS as error:
        for field in FIELDS:
            alone: dict[str, Any] = {"tenant": "t", "id": "t"}
            alone[field.name] = getattr(transaction, field.name)
            try:
                wire.transaction_to_proto(Transaction(**alone))
            except _MISFITS:
                raise InvalidTransaction(field.path, _TYPES[field.type]) from error
        raise


def decision_request(transaction_id: str, tenant: str) -> calls.GetDecisionRequest:
    """Ask for what was recorded."""
    return calls.GetDecisionRequest(tenant=tenant, transaction_id=transaction_id)


def explain_request(transaction_id: str, tenant: str) -> calls.ExplainDecisionRequest:
    """Ask what each feature added."""
    return calls.ExplainDecisionRequest(tenant=tenant, transaction_id=transaction_id)


def labels_request(labels: Iterable[Label]) -> calls.ReportLabelsRequest:
    """Report what turned out to be true."""
    return calls.ReportLabelsRequest(
        labels=[wire.label_to_proto(label) for label in labels]
    )


def answer_of(result: calls.CheckResult) -> Decision | ScoringError:
    """The decision of one item, or the error that it got."""
    if result.HasField("decision"):
        return result.decision
    return error_of_item(result.error, result.transaction_id)


def answers_of(
    reply: calls.BatchCheckTransactionsResponse,
) -> list[Decision | ScoringError]:
    """The answers to a batch, in order."""
    return [answer_of(result) for result in reply.results]


def labels_answers_of(reply: calls.ReportLabelsResponse) -> list[ScoringError | None]:
    """None where a label was taken (or known already), in order."""
    return [
        error_of_item(result.error, result.transaction_id)
        if result.HasField("error")
        else None
        for result in reply.results
    ]


@contextmanager
def translated(transaction_id: str = "") -> Iterator[None]:
    """Raise what a status means."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_of(error, transaction_id) from error


def error_of_item(error: calls.CheckError, transaction_id: str) -> ScoringError:
    """The error of one item of a batch or a stream."""
    found = _error(error.code, error.message, error.field, transaction_id)
    return _to_be_retried(found, error.retry_after_ms)


def error_of(status: grpc.RpcError, transaction_id: str = "") -> ScoringError:
    """The error that a status means."""
    code = status.code()
    trailing = dict(cast("Iterable[tuple[str, str]]", status.trailing_metadata() or ()))
    field, details = trailing.get(FIELD_KEY, ""), status.details() or ""
    found = _error(code.value[0], details, field, transaction_id)
    return _to_be_retried(found, int(trailing.get(RETRY_KEY, 0)))


def _to_be_retried(error: ScoringError, after_ms: int) -> ScoringError:
    if isinstance(error, Unavailable):
        error.retry_after_ms = after_ms
    return error


def _error(code: int, message: str, field: str, transaction_id: str) -> ScoringError:
    """Translate back.

    >>> _error(3, "amount_minor: must not be negative", "amount_minor", "t1").field
    'amount_minor'
    """
    if code == grpc.StatusCode.INVALID_ARGUMENT.value[0]:
        return InvalidTransaction(field, message.removeprefix(f"{field}: "))
    if code == grpc.StatusCode.ALREADY_EXISTS.value[0] and field == LabelConflict.field:
        return LabelConflict(message.removeprefix(f"{field}: "))
    if code == grpc.StatusCode.ALREADY_EXISTS.value[0]:
        return TransactionConflict(transaction_id, _differing(message))
    return _ERRORS.get(code, ScoringError)(message)


def _differing(message: str) -> tuple[str, ...]:
    """The fields that a conflict names.

    >>> told = TransactionConflict("t1", ("occurred_at", "card"))
    >>> _differing(str(told)), _differing(str(TransactionConflict("t1")))
    (('occurred_at', 'card'), ())
    """
    named = _DIFFERS.search(message)
    return tuple(named[1].split(", ")) if named else ()


_ERRORS: dict[int, type[ScoringError]] = {
    code.value[0]: kind
    for code, kind in (
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.PERMISSION_DENIED, Denied),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
    )
}
