"""The gRPC status of each error: the one place that translates them."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from scoring.errors import (
    DeadlineExceeded,
    Denied,
    InvalidTransaction,
    LogUnavailable,
    MessageTooLarge,
    ModelUnavailable,
    NotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    ScoringError,
    ShelfUnavailable,
    StoreUnavailable,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
    UnknownTransaction,
)
from scoring.v1 import fraud_scoring_pb2

Context = grpc.aio.ServicerContext[bytes, bytes]
Unary = Callable[[bytes, Context], Awaitable[bytes]]

FIELD_KEY = "scoring-field"
# Understood by the retry logic of every gRPC client.
PUSHBACK_KEY = "grpc-retry-pushback-ms"

_log = logging.getLogger(__name__)
# The nearest of an error's classes counts.
_CODES: dict[type[Exception], grpc.StatusCode] = {
    InvalidTransaction: grpc.StatusCode.INVALID_ARGUMENT,
    TransactionConflict: grpc.StatusCode.ALREADY_EXISTS,
    UnknownTransaction: grpc.StatusCode.NOT_FOUND,
    NotFound: grpc.StatusCode.NOT_FOUND,
    MessageTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    NotSupported: grpc.StatusCode.UNIMPLEMENTED,
    Denied: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    ScoringError: grpc.StatusCode.FAILED_PRECONDITION,
}
_SYSTEMS: dict[type[ScoringError], str] = {
    StoreUnavailable: "the store",
    LogUnavailable: "the log",
    ShelfUnavailable: "the store of models",
    ModelUnavailable: "the model",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call, or one item of it, has no decision."""

    code: grpc.StatusCode
    message: str
    field: str = ""
    retry_after_ms: int = 0

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Trailing metadata: the field, and when a retry is welcome.

        >>> Refusal(grpc.StatusCode.INVALID_ARGUMENT, "is required", "id").metadata()
        (('scoring-field', 'id'),)
        """
        pairs = ((FIELD_KEY, self.field),) if self.field else ()
        if not self.retry_after_ms:
            return pairs
        return (*pairs, (PUSHBACK_KEY, str(self.retry_after_ms)))

    def to_proto(self) -> fraud_scoring_pb2.CheckError:
        """The same, for one item of a batch or a stream."""
        number: int = self.code.value[0]
        return fraud_scoring_pb2.CheckError(
            code=number,
            message=self.message,
            field=self.field,
            retry_after_ms=self.retry_after_ms,
        )


def refusal_of(error: Exception) -> Refusal:
    """The status of an error; an unexpected one is logged and not described.

    >>> refusal_of(TransactionConflict("t1")).code.name
    'ALREADY_EXISTS'
    >>> refusal_of(Overloaded(retry_after_ms=200)).metadata()
    (('grpc-retry-pushback-ms', '200'),)
    >>> refusal_of(TimeoutError()).code.name
    'DEADLINE_EXCEEDED'
    """
    if isinstance(error, TimeoutError) and not isinstance(error, DeadlineExceeded):
        error = DeadlineExceeded()
    if not isinstance(error, ScoringError):
        return _unexpected(error)
    code = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    if code is grpc.StatusCode.UNAVAILABLE:
        return Refusal(code, _unavailable(error))
    retry_after_ms = error.retry_after_ms if isinstance(error, Unavailable) else 0
    return Refusal(code, str(error), error.field, retry_after_ms)


def _unavailable(error: ScoringError) -> str:
    """What a caller may know of it: the error's own text names addresses of ours."""
    _log.debug("%s: %s", type(error).__name__, error)
    system = _SYSTEMS.get(type(error), "a part of the service")
    return f"{system} does not answer; a retry may help"


def _unexpected(error: Exception) -> Refusal:
    # Its text may quote what the caller sent: log its place only.
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("unexpected %s in a call\n%s", type(error).__name__, frames)
    return Refusal(
        grpc.StatusCode.INTERNAL,
        "an unexpected error; the service's log says where",
    )


def guarded(serve: Unary) -> Unary:
    """Turn whatever `serve` raises into its precise status.

    Cancellation passes through: the caller has left.
    """

    async def answer(raw: bytes, context: Context) -> bytes:
        try:
            return await serve(raw, context)
        except Exception as error:  # noqa: BLE001 - the edge: everything is translated
            refusal = refusal_of(error)
        await context.abort(refusal.code, refusal.message, refusal.metadata())
        raise AssertionError("abort raises")

    return answer


def method(serve: Unary) -> grpc.RpcMethodHandler[Any, Any]:
    """A unary method over raw bytes.

    gRPC gets no deserialiser: it would answer malformed bytes with INTERNAL, and
    re-encoding a stored decision could change its bytes.
    """
    return grpc.unary_unary_rpc_method_handler(guarded(serve))
