"""StreamCheckTransactions: read ahead, answer in whatever order decisions come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

import grpc

from scoring import wire
from scoring.core.decision.decision import Door
from scoring.doors.calls.call_watch import CallWatch
from scoring.doors.calls.checks import GRACE_S, result_to_bytes
from scoring.doors.calls.refusals import refusal_of
from scoring.doors.calls.requests import Caller, Intake
from scoring.doors.grpc.call import Context, GrpcCall
from scoring.doors.grpc.status import GuardedCall, refuse
from scoring.errors import InvalidTransaction, MessageTooLarge, ScoringError
from scoring.pipeline.answer import Answer
from scoring.pipeline.dispatcher import Dispatcher
from scoring.ports.check import Check
from scoring.ports.metrics.calls import rpc_name
from scoring.ports.spans import CallSpan
from scoring.v1 import fraud_scoring_pb2

STREAM = "StreamCheckTransactions"
# Read ahead of the replies on one stream; beyond it HTTP/2 holds the sender back.
_AHEAD_COUNT_FIRST, _AHEAD_COUNT_MAX = 16, 256
# What a payment may spend of its time among those that were read with it; the rest is
# for what comes unforeseen.
_WAIT_SHARE_MAX = 0.25
_MS_PER_S = 1_000


@dataclass(slots=True)
class ReadAhead:
    """How many payments of a stream may be read and not yet answered.

    It follows what is finished: one more for each that was answered soon, and half as
    many where they took too long. So a sender without a pace is held back before its
    own payments wait for one another until their time is over.
    """

    count: float = _AHEAD_COUNT_FIRST
    _halved_at: float = -inf

    def finished(self, read_at: float, now: float, allowed_s: float) -> None:
        """A payment was answered that may take `allowed_s` from when it was read.

        >>> window = ReadAhead(count=64)
        >>> window.finished(read_at=0.0, now=0.04, allowed_s=0.05); window.count
        32.0
        >>> window.finished(read_at=0.01, now=0.04, allowed_s=0.05); window.count
        32.0
        >>> window.finished(read_at=0.05, now=0.051, allowed_s=0.05); window.count
        32.03125
        """
        if now - read_at <= _WAIT_SHARE_MAX * allowed_s:
            # Twice as many a turn until it was too many, then one.
            more = 1.0 if self._halved_at == -inf else 1.0 / self.count
            self.count = min(self.count + more, _AHEAD_COUNT_MAX)
        elif read_at > self._halved_at:  # read since: it says something new
            self._halved_at = now
            self.count = max(self.count / 2, 1.0)


@dataclass(slots=True)
class Conversation:
    """One stream: replies to be written, and how many are owed and not yet written.

    `refused` hears why an item has no decision.
    """

    refused: Callable[[Exception], None]
    window: ReadAhead = field(default_factory=ReadAhead)
    replies: deque[bytes] = field(default_factory=deque)
    owed: int = 0
    finished_reading: bool = False
    caller_left: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def reply(self, transaction_id: str, answer: Answer | Exception) -> None:
        """Queue a CheckResult for writing."""
        if isinstance(answer, Exception):
            self.refused(answer)
        result = result_to_bytes(transaction_id, answer)
        self.replies.append(wire.field_to_bytes(1, result))
        self.changed.set()

    def wrote(self) -> None:
        """One reply less is owed: another payment may be read."""
        self.owed -= 1
        self.room.set()

    @property
    def full(self) -> bool:
        """Whether no more may be read before some is answered."""
        return self.owed >= self.window.count

    @property
    def ended(self) -> bool:
        """Whether everything that was read is answered and written."""
        return self.finished_reading and not self.owed


@dataclass(slots=True)
class _Item:
    """One check of a stream, waiting: answered once, or told that its time is over."""

    check: Check
    conversation: Conversation
    monotonic: Callable[[], float]
    timer: asyncio.TimerHandle | None = None
    answered: bool = False

    def done(self) -> bool:
        return self.answered or self.conversation.caller_left

    def set_result(self, answers: Sequence[Answer], /) -> None:
        self._reply(answers[0])

    def set_exception(self, error: Exception, /) -> None:
        self._reply(error)

    def _reply(self, answer: Answer | Exception) -> None:
        self.answered = True
        if self.timer is not None:
            self.timer.cancel()
        check = self.check
        _end_span(check.span, answer)
        if check.admitted_at is not None and check.deadline is not None:
            self.conversation.window.finished(
                check.admitted_at, self.monotonic(), check.deadline - check.admitted_at
            )
        self.conversation.reply(check.transaction.id, answer)


@dataclass(slots=True)
class Streams:
    """Serves the streams of one process."""

    intake: Intake
    dispatcher: Dispatcher
    message_bytes_max: int
    monotonic: Callable[[], float]
    watch: CallWatch
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _draining: bool = False

    async def serve(self, context: Context) -> None:
        """Answer until the caller ends the stream, leaves, or the server drains."""
        with GuardedCall(self.watch, STREAM, context) as guard:
            try:
                caller = self.intake.stream_caller(GrpcCall(context), STREAM)
            except Exception as error:  # noqa: BLE001 - the edge translates everything
                refusal = guard.refused(error)
            else:
                await self._converse(context, caller, guard)
                return
        await refuse(context, refusal)

    async def _converse(
        self, context: Context, caller: Caller, guard: GuardedCall
    ) -> None:
        conversation = Conversation(partial(self._refused, caller))
        reading = asyncio.get_running_loop().create_task(
            self._read(context, caller, conversation)
        )
        self._open.add(reading)
        try:
            stayed = await _write(context, conversation)
        finally:
            conversation.caller_left = True
            self._open.discard(reading)
            reading.cancel()
        if not stayed:
            guard.status = "CANCELLED"
        elif self._draining:
            guard.status = "UNAVAILABLE"
            await context.abort(
                grpc.StatusCode.UNAVAILABLE,
                "draining; items without an answer are safe to send again",
            )

    def drain(self) -> None:
        """Read no more; every stream ends once what it read is answered."""
        self._draining = True
        for reading in self._open:
            reading.cancel()

    async def _read(
        self, context: Context, caller: Caller, conversation: Conversation
    ) -> None:
        try:
            while not self._draining:
                if conversation.full:
                    conversation.room.clear()
                    await conversation.room.wait()
                    continue
                raw: object = await context.read()
                if not isinstance(raw, bytes):  # the end of the stream
                    break
                conversation.owed += 1
                self._take(raw, caller, conversation)
        finally:
            conversation.finished_reading = True
            conversation.changed.set()

    def _take(self, raw: bytes, caller: Caller, conversation: Conversation) -> None:
        transaction_id = ""
        span = self._item_span(caller)
        try:
            if len(raw) > self.message_bytes_max:
                raise MessageTooLarge(self.message_bytes_max)
            request = wire.message_from_bytes(
                raw, fraud_scoring_pb2.StreamCheckTransactionsRequest, wire.PROTOBUF
            )
            transaction_id = request.transaction.id
            if span is not None:
                caller = replace(caller, span=span)
            check, deadline = self._check(request, caller)
            item = _Item(check, conversation, self.monotonic)
            item.timer = self.dispatcher.submit(check, item, until=deadline + GRACE_S)
        except ScoringError as error:
            _end_span(span, error)
            conversation.reply(transaction_id, error)

    def _item_span(self, caller: Caller) -> CallSpan | None:
        """One item's, below that of its stream; None without traces."""
        traces = self.watch.traces
        if traces is None or caller.span is None:
            return None
        above = caller.span.context.traceparent
        return traces.began(Door.GRPC, rpc_name(STREAM), above)

    def _refused(self, caller: Caller, error: Exception) -> None:
        self.watch.refused(Door.GRPC, STREAM, error, caller.peer)

    def _check(
        self,
        request: fraud_scoring_pb2.StreamCheckTransactionsRequest,
        caller: Caller,
    ) -> tuple[Check, float]:
        """The check, and its deadline."""
        wire.refuse_unknown_fields(request)
        if not request.HasField("transaction"):
            raise InvalidTransaction("transaction", "is required")
        budget_s = self.intake.budget_s
        if request.budget_ms:
            budget_s = min(budget_s, request.budget_ms / _MS_PER_S)
        deadline = min(caller.deadline, self.monotonic() + budget_s)
        check = self.intake.check(
            request.transaction, caller.until(deadline), dry_run=request.dry_run
        )
        return check, deadline


def _end_span(span: CallSpan | None, answer: Answer | Exception) -> None:
    if span is None:
        return
    status = "OK"
    if isinstance(answer, Exception):
        refusal = refusal_of(answer)
        status, span.problem = refusal.code.name, refusal.kind.slug
    span.ended(status)


async def _write(context: Context, conversation: Conversation) -> bool:
    """Write until everything is answered; False where the caller left before."""
    while not conversation.ended:
        conversation.changed.clear()
        while conversation.replies:
            try:
                await context.write(conversation.replies.popleft())
            except Exception:  # noqa: BLE001 - gRPC has no public name for it
                return False
            conversation.wrote()
        if conversation.ended:
            break
        await conversation.changed.wait()
    return True
