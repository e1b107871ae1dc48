"""What a caller learns of each error: the one table of the words of gRPC and HTTP."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus

from scoring.core.transaction.card_number import masked
from scoring.errors import (
    CardNumberRefused,
    DeadlineExceeded,
    Denied,
    EventConflict,
    InvalidTransaction,
    LabelConflict,
    LogUnavailable,
    MessageTooLarge,
    ModelRegistryUnavailable,
    ModelUnavailable,
    NotExplainable,
    NotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    ScoringError,
    StoreUnavailable,
    TooManyEvents,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
    UnknownTransaction,
)
from scoring.v1 import fraud_scoring_pb2

_log = logging.getLogger(__name__)


class Code(IntEnum):
    """The codes of gRPC that we answer; also of an item in a batch over HTTP."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class RefusalKind:
    """One kind of refusal: its gRPC code, its HTTP status, and its name for people.

    `slug` is the error's own code: it tells kinds apart that share one of gRPC, and
    ends the URI of an HTTP problem.
    """

    code: Code
    status: HTTPStatus
    slug: str
    title: str


_INTERNAL = RefusalKind(
    Code.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Unexpected error"
)
_TOLD: tuple[tuple[type[ScoringError], Code, HTTPStatus, str], ...] = (
    (
        InvalidTransaction,
        Code.INVALID_ARGUMENT,
        HTTPStatus.BAD_REQUEST,
        "Invalid request",
    ),
    (CardNumberRefused, Code.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST, "Card number"),
    (TooManyEvents, Code.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST, "Too many events"),
    (TransactionConflict, Code.ALREADY_EXISTS, HTTPStatus.CONFLICT, "Conflict"),
    (LabelConflict, Code.ALREADY_EXISTS, HTTPStatus.CONFLICT, "Conflict"),
    (EventConflict, Code.ALREADY_EXISTS, HTTPStatus.CONFLICT, "Conflict"),
    (UnknownTransaction, Code.NOT_FOUND, HTTPStatus.NOT_FOUND, "Not found"),
    (NotFound, Code.NOT_FOUND, HTTPStatus.NOT_FOUND, "Not found"),
    (
        MessageTooLarge,
        Code.RESOURCE_EXHAUSTED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "Too large",
    ),
    (Overloaded, Code.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS, "Overloaded"),
    (
        RateLimited,
        Code.RESOURCE_EXHAUSTED,
        HTTPStatus.TOO_MANY_REQUESTS,
        "Rate limited",
    ),
    (
        DeadlineExceeded,
        Code.DEADLINE_EXCEEDED,
        HTTPStatus.GATEWAY_TIMEOUT,
        "Deadline exceeded",
    ),
    (Unavailable, Code.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, "Unavailable"),
    (NotSupported, Code.UNIMPLEMENTED, HTTPStatus.NOT_IMPLEMENTED, "Not supported"),
    (Denied, Code.PERMISSION_DENIED, HTTPStatus.FORBIDDEN, "Denied"),
    (Unauthenticated, Code.UNAUTHENTICATED, HTTPStatus.UNAUTHORIZED, "Unauthenticated"),
    (
        NotExplainable,
        Code.FAILED_PRECONDITION,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Not explainable",
    ),
    (
        ScoringError,
        Code.FAILED_PRECONDITION,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Failed precondition",
    ),
)
# The nearest of an error's classes counts.
KINDS: dict[type[Exception], RefusalKind] = {
    kind: RefusalKind(code, status, kind.code, title)
    for kind, code, status, title in _TOLD
}
_SYSTEMS: dict[type[ScoringError], str] = {
    StoreUnavailable: "the store",
    LogUnavailable: "the log",
    ModelRegistryUnavailable: "the model registry",
    ModelUnavailable: "the model",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call, or one item of it, has no answer."""

    kind: RefusalKind
    message: str
    field: str = ""
    retry_after_ms: int = 0

    @property
    def code(self) -> Code:
        """Its gRPC code."""
        return self.kind.code

    def to_proto(self) -> fraud_scoring_pb2.CheckError:
        """The same, for one item of a batch or a stream."""
        return fraud_scoring_pb2.CheckError(
            code=self.code,
            message=self.message,
            field=self.field,
            retry_after_ms=self.retry_after_ms,
            problem=self.kind.slug,
        )


def refusal_of(error: Exception) -> Refusal:
    """What a caller learns of an error; an unexpected one is logged and not described.

    >>> refusal_of(TransactionConflict("t1")).code.name
    'ALREADY_EXISTS'
    >>> refusal_of(Overloaded(retry_after_ms=200)).retry_after_ms
    200
    >>> refusal_of(TimeoutError()).kind.status.value
    504
    """
    if isinstance(error, TimeoutError) and not isinstance(error, DeadlineExceeded):
        error = DeadlineExceeded()
    if not isinstance(error, ScoringError):
        return _unexpected(error)
    kind = next(KINDS[each] for each in type(error).__mro__ if each in KINDS)
    if kind.code is Code.UNAVAILABLE:
        return Refusal(kind, _unavailable(error))
    retry_after_ms = error.retry_after_ms if isinstance(error, Unavailable) else 0
    return Refusal(kind, str(error), error.field, retry_after_ms)


def shown_id(transaction_id: str) -> str:
    """An id as sent, for a result that has no decision; a card's digits overwritten."""
    return masked(transaction_id.encode())[0].decode()


def _unavailable(error: ScoringError) -> str:
    """What a caller may know of it: the error's own text names addresses of ours."""
    _log.debug("%s: %s", type(error).__name__, error)
    known = (_SYSTEMS[kind] for kind in type(error).__mro__ if kind in _SYSTEMS)
    system = next(known, "a part of the service")
    return f"{system} does not answer; a retry may help"


def _unexpected(error: Exception) -> Refusal:
    # Its text may quote what the caller sent: log its place only.
    frames = "".join(traceback.format_tb(error.__traceback__))
    kind = type(error).__name__
    _log.error(
        "unexpected %s in a call\n%s",
        *(kind, frames),
        extra={"cause": kind, "repeats": (kind, frames)},
    )
    return Refusal(_INTERNAL, "an unexpected error; the service's log says where")
