"""The gRPC status of each refusal, and what may be said of it beside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

from scoring.core.transaction.trace_context import RETURNED
from scoring.doors.calls.refusals import Code, Refusal, refusal_of
from scoring.wire.headers import FIELD_KEY, PROBLEM_KEY, PUSHBACK_KEY

Context = grpc.aio.ServicerContext[bytes, bytes]
Unary = Callable[[bytes, Context], Awaitable[bytes]]

_STATUS = {code: grpc.StatusCode[code.name] for code in Code}


def metadata_of(refusal: Refusal) -> tuple[tuple[str, str], ...]:
    """Trailing metadata: which kind it is, the field, and when a retry is welcome.

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
    """What a caller finds its own call by: its id and its trace, as sent."""
    return tuple(
        (key, value)
        for key, value in context.invocation_metadata() or ()
        if key in RETURNED and isinstance(value, str) and RETURNED[key](value)
    )


async def refuse(context: Context, error: Exception) -> NoReturn:
    """End the call with the precise status of an error."""
    refusal = refusal_of(error)
    told = (*metadata_of(refusal), *returned(context))
    await context.abort(_STATUS[refusal.code], refusal.message, told)
    raise AssertionError("abort raises")


def guarded(serve: Unary) -> Unary:
    """Turn whatever `serve` raises into its precise status.

    Cancellation passes through: the caller has left.
    """

    async def answer(raw: bytes, context: Context) -> bytes:
        if own := returned(context):
            context.set_trailing_metadata(own)
        try:
            return await serve(raw, context)
        except Exception as error:  # noqa: BLE001 - the edge: everything is translated
            why = error
        return await refuse(context, why)

    return answer


def method(serve: Unary) -> grpc.RpcMethodHandler[Any, Any]:
    """A unary method over raw bytes.

    gRPC gets no deserialiser: it would answer malformed bytes with INTERNAL, and
    re-encoding a stored decision could change its bytes.
    """
    return grpc.unary_unary_rpc_method_handler(guarded(serve))
