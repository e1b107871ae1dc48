"""Requests and replies of the client: domain to bytes, statuses to errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import grpc

from scoring import wire
from scoring.client.call_ids import CallIds
from scoring.core.transaction.fields import FieldType
from scoring.core.transaction.label import Label
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import FIELDS, Transaction
from scoring.errors import (
    CardNumberRefused,
    DeadlineExceeded,
    Denied,
    EventConflict,
    InvalidTransaction,
    LabelConflict,
    MessageTooLarge,
    NotExplainable,
    NotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    ScoringError,
    TooManyEvents,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
    UnknownTransaction,
)
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import transaction_pb2
from scoring.v1.decision_pb2 import Decision
from scoring.wire.headers import FIELD_KEY, PROBLEM_KEY, PUSHBACK_KEY

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


def events_request(events: Iterable[LifecycleEvent]) -> calls.ReportEventsRequest:
    """Report what happened to payments."""
    return calls.ReportEventsRequest(
        events=[wire.event_to_proto(event) for event in events]
    )


def answer_of(result: calls.CheckResult) -> Decision | ScoringError:
    """The decision of one item, or the error that it got."""
    if result.HasField("decision"):
        return result.decision
    return error_of_item(result.error)


def answers_of(
    reply: calls.BatchCheckTransactionsResponse,
) -> list[Decision | ScoringError]:
    """The answers to a batch, in order."""
    return [answer_of(result) for result in reply.results]


def outcomes_of(
    reply: calls.ReportLabelsResponse | calls.ReportEventsResponse,
) -> list[ScoringError | None]:
    """None where one was taken (or known already), in order."""
    return [
        error_of_item(result.error) if result.HasField("error") else None
        for result in reply.results
    ]


@contextmanager
def translated(ids: CallIds) -> Iterator[None]:
    """Raise what a status means, with the name of the call."""
    try:
        yield
    except grpc.RpcError as status:
        sent, error = ids.request_id, error_of(status)
        ids.returned(_trailing(status).items())
        # Where no service answered, the name is still that of the caller.
        error.request_id = ids.request_id or sent
        raise error from status


def error_of_item(error: calls.CheckError) -> ScoringError:
    """The error of one item of a batch or a stream."""
    return _told(
        error.problem or _problem(error.code, error.field, error.retry_after_ms),
        error.message,
        error.field,
        error.retry_after_ms,
    )


def error_of(status: grpc.RpcError) -> ScoringError:
    """The error that a status means."""
    trailing = _trailing(status)
    field, after_ms = trailing.get(FIELD_KEY, ""), int(trailing.get(PUSHBACK_KEY, 0))
    told = trailing.get(PROBLEM_KEY, "")
    problem = told or _problem(status.code().value[0], field, after_ms)
    return _told(problem, status.details() or "", field, after_ms)


def _trailing(status: grpc.RpcError) -> dict[str, str]:
    said = cast("Iterable[tuple[str, str | bytes]]", status.trailing_metadata() or ())
    return {key: value for key, value in said if isinstance(value, str)}


def _problem(code: int, field: str, after_ms: int) -> str:
    """Our word for a status that came without one: of a network, an earlier release.

    >>> _problem(14, "", 0), _problem(8, "", 200), _problem(6, "verdict", 0)
    ('unavailable', 'overloaded', 'label-conflict')
    >>> _problem(1, "", 0)
    'cancelled'
    """
    name = next((s.name for s in grpc.StatusCode if s.value[0] == code), "UNKNOWN")
    if name == "RESOURCE_EXHAUSTED" and after_ms:
        return Overloaded.code
    if name == "ALREADY_EXISTS" and field == LabelConflict.field:
        return LabelConflict.code
    return _PROBLEMS.get(name, name.lower().replace("_", "-"))


def _told(problem: str, message: str, field: str, after_ms: int) -> ScoringError:
    """The error as the service worded it.

    >>> error = _told("rate-limited", "this caller's rate is 5 a second", "", 200)
    >>> type(error).__name__, error.retry_after_ms, error.code
    ('RateLimited', 200, 'rate-limited')
    """
    kind = _KINDS.get(problem, ScoringError)
    error = kind.__new__(kind)  # its own wording is for those who raise it first
    error.args, error.code, error.field = (message,), problem, field
    if isinstance(error, _WORDED):
        error.message = message.removeprefix(f"{field}: ")
    elif isinstance(error, TransactionConflict):
        error.differing = _differing(message)
    elif isinstance(error, Unavailable):
        error.retry_after_ms = after_ms
    return error


def _differing(message: str) -> tuple[str, ...]:
    """The fields that a conflict names.

    >>> told = TransactionConflict("t1", ("occurred_at", "card"))
    >>> _differing(str(told)), _differing(str(TransactionConflict("t1")))
    (('occurred_at', 'card'), ())
    """
    named = _DIFFERS.search(message)
    return tuple(named[1].split(", ")) if named else ()


# Whose `message` is without the field.
_WORDED = (InvalidTransaction, LabelConflict, EventConflict, UnknownTransaction)
_KINDS: dict[str, type[ScoringError]] = {
    kind.code: kind
    for kind in (
        *(InvalidTransaction, CardNumberRefused, TooManyEvents, MessageTooLarge),
        *(TransactionConflict, LabelConflict, EventConflict),
        *(NotFound, UnknownTransaction),
        *(Unavailable, Overloaded, RateLimited, DeadlineExceeded),
        *(NotExplainable, NotSupported, Denied, Unauthenticated),
    )
}
_PROBLEMS = {
    "INVALID_ARGUMENT": InvalidTransaction.code,
    "ALREADY_EXISTS": TransactionConflict.code,
    "UNIMPLEMENTED": NotSupported.code,
    "PERMISSION_DENIED": Denied.code,
}
