"""Carries the gRPC door's decisions to the decisions topic, and never forgets one."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from scoring.core.transaction.transaction import Transaction
from scoring.errors import (
    LogUnavailable,
    RecordRefused,
    RecordsRefused,
    StoreUnavailable,
)
from scoring.pipeline.outbox_orphans import INTERVAL_S, Key, OrphanRelay, Pace, portions
from scoring.pipeline.steps import Step, reached
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.log import DecisionLog, LogRecord
from scoring.ports.outbox import Outbox
from scoring.ports.spans import PublishSpan
from scoring.ports.telemetry import Telemetry

log = logging.getLogger(__name__)
_APPENDED_PER_CALL = 500
_RETRY_S = 0.5


@dataclass(slots=True, eq=False)
class Pending:
    """One decision on its way to the log; `done` resolves when it is there."""

    transaction: Transaction
    logged: bytes
    provisional: bool
    done: asyncio.Future[None]
    since: float  # when it was queued, by the loop's clock
    traceparent: str = ""
    span: PublishSpan | None = None

    @property
    def key(self) -> Key:
        """Tenant and transaction id."""
        return self.transaction.tenant, self.transaction.id

    def trace(self, check: Check) -> None:
        """Write into the trace of its call, where it has one."""
        self.traceparent = check.traceparent
        if check.span is not None:
            self.span = check.span.publishing()
            self.traceparent = self.span.traceparent


@dataclass(slots=True)
class OutboxRelay:
    """Sends decisions in the background, in order, and clears their outbox.

    A final decision is in the store's outbox, too, so a crash loses nothing: what
    another process left there is relayed as an orphan. A provisional one waits here
    (the spool has it, too). Bounded by `count_max`: beyond it, final decisions are
    left to the outbox and provisional ones are counted as `log_overflow`. Sends begin
    at least `gather_s` apart: what they cost is shared by many decisions.
    `record_of` makes the log's record; without a transaction it reads it from there.
    `logged` gets each provisional decision that the log has, and says whether it
    still waits to become the record: until then no outbox holds it. `letter_of` makes
    the dead letter of a record that the log refuses for good.
    """

    outbox: Outbox
    log: DecisionLog
    record_of: Callable[[bytes, Transaction | None], LogRecord]
    letter_of: Callable[[LogRecord, RecordRefused], LogRecord]
    telemetry: Telemetry
    count_max: int
    gather_s: float = 0.0
    logged: Callable[[Key], bool] = lambda _: True
    _queue: deque[Pending] = field(default_factory=deque)
    # Sent and not yet acknowledged, oldest first.
    _sent: dict[Pending, None] = field(default_factory=dict)
    _to_clear: list[Key] = field(default_factory=list)
    _held: Counter[Key] = field(default_factory=Counter)  # whatever is ours to append
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _clearable: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _letters: set[asyncio.Task[bool]] = field(default_factory=set)
    _orphans: OrphanRelay = field(init=False)

    def __post_init__(self) -> None:
        """Orphans are appended as our own entries are."""
        self._orphans = OrphanRelay(
            self.outbox,
            self.log,
            self.record_of,
            self.telemetry,
            self._held.__contains__,
            self._set_aside,
        )

    def start(self) -> None:
        """Begin to append, to clear and to relay orphans on the running loop."""
        begin = asyncio.get_running_loop().create_task
        self._tasks = [begin(self._run()), begin(self._clear()), begin(self._watch())]

    def publish(
        self,
        transaction: Transaction,
        logged: bytes,
        *,
        provisional: bool,
        check: Check | None = None,
    ) -> asyncio.Future[None]:
        """Queue one decision; never blocks. The future resolves when it is logged.

        Its record hands on the trace of `check`: ours, or the caller's where we have
        none.
        """
        done = asyncio.get_running_loop().create_future()
        if len(self._queue) + len(self._sent) >= self.count_max:
            self.telemetry.count(Event.LOG_OVERFLOW)
            done.set_exception(LogUnavailable("too many decisions wait for the log"))
            # The caller may not look: the overflow is counted, not logged as an error.
            done.exception()
            return done
        now = asyncio.get_running_loop().time()
        pending = Pending(transaction, logged, provisional, done, now)
        if check is not None:
            pending.trace(check)
        self._held[pending.key] += 1
        self._queue.append(pending)
        self._more.set()
        return done

    @property
    def waiting_count(self) -> int:
        """How many are on their way to the log."""
        return len(self._queue) + len(self._sent)

    @property
    def waiting_since(self) -> float | None:
        """When the oldest of them was queued, by the loop's clock; None for none."""
        oldest = [next(iter(held), None) for held in (self._sent, self._queue)]
        return min((one.since for one in oldest if one is not None), default=None)

    @property
    def outbox_count(self) -> int | None:
        """Entries of the store's outbox at the last look; None where others look."""
        return self._orphans.found_count

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._more.wait()
            self._more.clear()
            while self._queue:
                began_at = loop.time()
                count = min(len(self._queue), _APPENDED_PER_CALL)
                try:
                    await self._send(count)
                except LogUnavailable:
                    self.telemetry.count(Event.LOG_RETRY)
                    await asyncio.sleep(_RETRY_S)
                    continue
                if count < _APPENDED_PER_CALL:
                    await asyncio.sleep(began_at + self.gather_s - loop.time())

    async def _send(self, count: int) -> None:
        """Send the first so many; others have their turns in between."""
        pace = Pace.begun()
        for portion in portions(count):
            batch = [self._queue[i] for i in range(portion.stop - portion.start)]
            records = [
                self.record_of(p.logged, p.transaction).carrying(p.traceparent)
                for p in batch
            ]
            reached(Step.SENDING)
            futures = self.log.send(records)
            for pending, record, future in zip(batch, records, futures, strict=True):
                self._queue.popleft()
                self._sent[pending] = None
                future.add_done_callback(partial(self._settle, pending, record))
            reached(Step.SENT)
            if portion.stop < count:
                await pace.rest()

    def _settle(
        self, pending: Pending, record: LogRecord, sent: asyncio.Future[None]
    ) -> None:
        error = None if sent.cancelled() else sent.exception()
        if isinstance(error, RecordRefused):
            letter = self._set_aside(pending.key, record, error)
            letter.add_done_callback(lambda told: self._lettered(pending, told))
        elif not (error or sent.cancelled()):
            self._settled(pending, is_safe=True)
        else:  # a log that was closed takes nothing; the outbox or the spool keeps it
            self._sent.pop(pending, None)
            self.telemetry.count(Event.LOG_RETRY)
            self._queue.append(pending)
            self._more.set()

    def _lettered(self, pending: Pending, letter: asyncio.Task[bool]) -> None:
        if not letter.cancelled():
            self._settled(pending, is_safe=letter.result())

    def _settled(self, pending: Pending, *, is_safe: bool) -> None:
        reached(Step.LOGGED)
        if pending.span is not None:
            pending.span.ended("" if is_safe else "refused")
        self._sent.pop(pending, None)
        if is_safe and self._is_out(pending):
            self._to_clear.append(pending.key)
            self._clearable.set()
        else:
            self._let_go(pending.key)
        if not pending.done.done():
            pending.done.set_result(None)

    def _let_go(self, key: Key) -> None:
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]

    def _is_out(self, pending: Pending) -> bool:
        """Whether the outbox may hold a decision that is in the log now."""
        return not (pending.provisional and self.logged(pending.key))

    def _set_aside(
        self, key: Key, record: LogRecord, error: RecordRefused
    ) -> asyncio.Task[bool]:
        """Send a dead letter instead; the task tells whether the log has it."""
        task = asyncio.get_running_loop().create_task(self._letter(key, record, error))
        self._letters.add(task)
        task.add_done_callback(self._letters.discard)
        return task

    async def _letter(self, key: Key, record: LogRecord, error: RecordRefused) -> bool:
        self.telemetry.count(Event.LOG_REFUSED)
        log.error("the decision of %s:%s becomes a dead letter: %s", *key, error)
        try:
            await self.log.append([self.letter_of(record, error)])
        except (RecordsRefused, LogUnavailable) as refused:
            log.warning(
                "its dead letter is refused too; outbox entry %s:%s remains: %s",
                *key,
                refused,
            )
            return False
        self.telemetry.count(Event.DEAD_LETTER)
        self.telemetry.dead_letter("decisions", error.code)
        return True

    async def _clear(self) -> None:
        """Take out of the outbox what the log has acknowledged."""
        while True:
            await self._clearable.wait()
            self._clearable.clear()
            await asyncio.sleep(self.gather_s)
            while self._to_clear:
                keys = self._to_clear[:_APPENDED_PER_CALL]
                try:
                    await self.outbox.clear_outbox(keys)
                except StoreUnavailable:  # it is tried until the store is back
                    await asyncio.sleep(_RETRY_S)
                    continue
                reached(Step.CLEARED)
                del self._to_clear[: len(keys)]
                for key in keys:
                    self._let_go(key)

    async def _watch(self) -> None:
        while True:
            try:
                await self.relay_orphans()
            except (StoreUnavailable, LogUnavailable):
                log.info("outbox not relayed: store or log unavailable")
            await asyncio.sleep(INTERVAL_S)

    async def relay_orphans(self) -> int:
        """Append what was in the outbox twice in a row; returns how many."""
        return await self._orphans.relay()

    async def close(self, *, within_s: float) -> None:
        """Append what is queued, for at most `within_s`; the outbox keeps the rest."""
        ends = asyncio.get_running_loop().time() + within_s
        while self._queue or self._sent or self._to_clear:
            if asyncio.get_running_loop().time() >= ends:
                break
            await asyncio.sleep(0.01)
        tasks = [*self._tasks, *self._letters]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
