"""The gRPC status of each refusal, and what may be said of it beside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from scoring.core.decision.decision import Door
from scoring.core.transaction.trace_context import RETURNED
from scoring.doors.calls.call_watch import CallWatch, current_span
from scoring.doors.calls.refusals import Code, Refusal
from scoring.doors.grpc.call import Context, GrpcCall
from scoring.errors import DeadlineExceeded
from scoring.ports.metrics.calls import CANCELLED, rpc_name
from scoring.ports.spans import CallSpan
from scoring.wire.headers import (
    FIELD_KEY,
    PROBLEM_KEY,
    PUSHBACK_KEY,
    TRACE_RESPONSE,
)

Unary = Callable[[bytes, Context], Awaitable[bytes]]

_NOT_IN_TIME = "the caller's deadline passed before its answer"
_STATUS = {code: grpc.StatusCode[code.name] for code in Code}


def metadata_of(refusal: Refusal) -> tuple[tuple[str, str], ...]:
    """Trailing metadata: which kind it is, the field, and when a retry is welcome.

    >>> from scoring.doors.calls.refusals import refusal_of
    >>> from scoring.errors import CardNumberRefused, Overloaded
    >>> metadata_of(refusal_of(CardNumberRefused("card")))
    (('scoring-problem', 'card-number'), ('scoring-field', 'card'))
    >>> metadata_of(refusal_of(Overloaded(retry_after_ms=200)))
    (('scoring-problem', 'overloaded'), ('grpc-retry-pushback-ms', '200'))
    """
    pairs = [(PROBLEM_KEY, refusal.kind.slug)]
    if refusal.field:
        pairs.append((FIELD_KEY, refusal.field))
    if refusal.retry_after_ms:
        pairs.append((PUSHBACK_KEY, str(refusal.retry_after_ms)))
    return tuple(pairs)


def returned(context: Context) -> tuple[tuple[str, str], ...]:
    """What a caller finds its own call by: its id and its trace, as sent, and ours."""
    own = tuple(
        (key, value)
        for key, value in context.invocation_metadata() or ()
        if key in RETURNED and isinstance(value, str) and RETURNED[key](value)
    )
    span = current_span.get()
    return own if span is None else (*own, (TRACE_RESPONSE, span.context.traceparent))


async def refuse(context: Context, refusal: Refusal) -> NoReturn:
    """End the call with the precise status of a refusal."""
    told = (*metadata_of(refusal), *returned(context))
    await context.abort(_STATUS[refusal.code], refusal.message, told)
    raise AssertionError("abort raises")


@dataclass(slots=True)
class GuardedCall:
    """One call from its arrival to its end: counted, and refused precisely.

    `status` is what its caller gets, unless something is raised.
    """

    watch: CallWatch
    method: str
    context: Context
    status: str = "OK"
    span: CallSpan | None = None
    _began_at: float = 0.0

    def __enter__(self) -> Self:
        if self.watch.traces is not None:
            sent = GrpcCall(self.context).traceparent
            self.span = self.watch.span(Door.GRPC, rpc_name(self.method), sent)
        if own := returned(self.context):
            self.context.set_trailing_metadata(own)
        self._began_at = self.watch.began(Door.GRPC)
        return self

    def __exit__(
        self,
        _kind: object,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._cancelled()
        elif isinstance(error, Exception) and self.status == "OK":
            self.refused(error)
        self.watch.ended_rpc(self.method, self.status, self._began_at, self.span)

    def refused(self, error: Exception) -> Refusal:
        """What the caller learns of an error."""
        peer = GrpcCall(self.context).peer
        refusal = self.watch.refused(Door.GRPC, self.method, error, peer)
        self.status = refusal.code.name
        if self.span is not None:
            self.span.problem = refusal.kind.slug
        return refusal

    def _cancelled(self) -> None:
        """GRPC cancels a call whose deadline passes, or whose caller leaves."""
        left_s = self.context.time_remaining()
        if left_s is not None and left_s <= 0:
            self.refused(DeadlineExceeded(_NOT_IN_TIME))
        else:
            self.status = "CANCELLED"
            if self.span is not None:
                self.span.problem = CANCELLED
            call = GrpcCall(self.context)
            self.watch.left(Door.GRPC, self.method, call.peer)


def guarded(name: str, serve: Unary, watch: CallWatch) -> Unary:
    """Turn whatever `serve` raises into its precise status, and count it.

    Cancellation passes through: the caller has left.
    """

    async def answer(raw: bytes, context: Context) -> bytes:
        with GuardedCall(watch, name, context) as guard:
            try:
                return await serve(raw, context)
            except Exception as error:  # noqa: BLE001 - the edge: all is translated
                refusal = guard.refused(error)
        return await refuse(context, refusal)

    return answer


def method(
    name: str, serve: Unary, watch: CallWatch
) -> grpc.RpcMethodHandler[Any, Any]:
    """A unary method over raw bytes.

    gRPC gets no deserialiser: it would answer malformed bytes with INTERNAL, and
    re-encoding a stored decision could change its bytes.
    """
    return grpc.unary_unary_rpc_method_handler(guarded(name, serve, watch))
