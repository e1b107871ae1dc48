"""What goes wrong in a call, and the gRPC status that says it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from scoring.errors import (
    InvalidTransaction,
    LogUnavailable,
    ModelUnavailable,
    ScoringError,
    ShelfUnavailable,
    StoreUnavailable,
    TransactionConflict,
    Unavailable,
    UnknownTransaction,
)
from scoring.v1 import fraud_scoring_pb2

Context = grpc.aio.ServicerContext[bytes, bytes]
Unary = Callable[[bytes, Context], Awaitable[bytes]]

FIELD_KEY = "scoring-field"
# Understood by the retry logic of every gRPC client.
PUSHBACK_KEY = "grpc-retry-pushback-ms"
# Long enough for a burst to pass, short against a person waiting at a till.
PUSHBACK_MS = 200

_log = logging.getLogger(__name__)
_AWAY = {
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
    pushback_ms: int | None = None

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Trailing metadata: the field, and when a retry is welcome.

        >>> Refusal(grpc.StatusCode.INVALID_ARGUMENT, "is required", "id").metadata()
        (('scoring-field', 'id'),)
        """
        pairs = ((FIELD_KEY, self.field),) if self.field else ()
        if self.pushback_ms is None:
            return pairs
        return (*pairs, (PUSHBACK_KEY, str(self.pushback_ms)))

    def to_proto(self) -> fraud_scoring_pb2.CheckError:
        """The same, for one item of a batch or a stream."""
        number: int = self.code.value[0]
        return fraud_scoring_pb2.CheckError(
            code=number,
            message=self.message,
            field=self.field,
            retry_after_ms=self.pushback_ms or 0,
        )


class Refused(Exception):
    """A call that the door itself turns away."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refusal_of(error: Exception) -> Refusal:
    """The status of an error; an unexpected one is logged and not described.

    >>> refusal_of(TransactionConflict("t1")).code.name
    'ALREADY_EXISTS'
    """
    if isinstance(error, Refused):
        return error.refusal
    if isinstance(error, InvalidTransaction):
        return Refusal(grpc.StatusCode.INVALID_ARGUMENT, str(error), error.field)
    if isinstance(error, TransactionConflict):
        return Refusal(grpc.StatusCode.ALREADY_EXISTS, str(error), error.field)
    if isinstance(error, UnknownTransaction):
        return Refusal(grpc.StatusCode.NOT_FOUND, str(error), error.field)
    if isinstance(error, Unavailable):
        # Its text names addresses of ours.
        _log.debug("%s: %s", type(error).__name__, error)
        away = _AWAY.get(type(error), "a part of the service")
        return Refusal(
            grpc.StatusCode.UNAVAILABLE, f"{away} does not answer; a retry may help"
        )
    if isinstance(error, TimeoutError):
        return out_of_time()
    if isinstance(error, ScoringError):
        return Refusal(grpc.StatusCode.FAILED_PRECONDITION, str(error))
    # An unknown error's text may quote what the caller sent: log its place only.
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("unexpected %s in a call\n%s", type(error).__name__, frames)
    return Refusal(
        grpc.StatusCode.INTERNAL,
        "an unexpected error; the service's log names its place",
    )


def out_of_time() -> Refusal:
    """Nothing can be said before the deadline."""
    return Refusal(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "the deadline left no time for any decision; allow at least 5 ms",
    )


def oversize(bytes_max: int) -> Refusal:
    """The message exceeds the limit of its method."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"the message exceeds {bytes_max} bytes; send fewer or smaller items",
    )


def overloaded() -> Refusal:
    """More is being decided than fits into the budget."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "overloaded; retry after the pushed-back time, or on another connection",
        pushback_ms=PUSHBACK_MS,
    )


def guarded(serve: Unary) -> Unary:
    """Turn whatever `serve` raises into its precise status.

    Cancellation passes through: the caller has gone.
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
