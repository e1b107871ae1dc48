"""Carries the gRPC door's decisions to the decisions topic, and never forgets one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from scoring.core.transaction import Transaction
from scoring.errors import LogUnavailable, StoreUnavailable
from scoring.ports import DecisionLog, LogRecord, Store, Telemetry

log = logging.getLogger(__name__)
_APPENDED_PER_CALL = 500
Key = tuple[str, str]  # tenant and transaction id
_RETRY_S = 0.5
# An entry that two sweeps in a row find was left by a process that died, or by an
# append that failed: what a living publisher holds is gone in between. In a longer
# outage of the log another process's entries are found, too: equal duplicates.
_SWEEP_INTERVAL_S = 5.0


@dataclass(slots=True)
class Pending:
    """One decision on its way to the log; `done` resolves when it is there."""

    transaction: Transaction
    logged: bytes
    provisional: bool
    done: asyncio.Future[None]

    @property
    def key(self) -> Key:
        """Tenant and transaction id."""
        return self.transaction.tenant, self.transaction.id


@dataclass(slots=True)
class Publisher:
    """Appends decisions in the background, in order, and clears their outbox.

    A final decision also stands in the store's outbox, so a crash loses nothing: a
    sweep appends what an earlier process left. A provisional one waits here (it
    also stands in the spool). Bounded by `count_max`: beyond it, final decisions
    are left to the sweep and provisional ones are counted as `log_overflow`. Appends
    begin at least `gather_s` apart: what they cost is shared by many decisions.
    `record_of` makes the log's record; without a transaction it reads it from there.
    `logged` is told of each provisional decision that the log has, and says whether it
    still waits to become the record: until then no outbox holds it.
    """

    store: Store
    log: DecisionLog
    record_of: Callable[[bytes, Transaction | None], LogRecord]
    telemetry: Telemetry
    count_max: int
    gather_s: float = 0.0
    logged: Callable[[Key], bool] = lambda _: True
    _queue: deque[Pending] = field(default_factory=deque)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _acknowledging: asyncio.Lock = field(default_factory=asyncio.Lock)

    def start(self) -> None:
        """Begin to append and to sweep on the running loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run()), loop.create_task(self._sweep())]

    def publish(
        self, transaction: Transaction, logged: bytes, *, provisional: bool
    ) -> asyncio.Future[None]:
        """Queue one decision; never blocks. The future resolves when it is logged."""
        done = asyncio.get_running_loop().create_future()
        if len(self._queue) >= self.count_max:
            self.telemetry.count("log_overflow")
            done.set_exception(LogUnavailable("too many decisions wait for the log"))
            # The caller may not look: the overflow is counted, not logged as an error.
            done.exception()
            return done
        self._queue.append(Pending(transaction, logged, provisional, done))
        self._more.set()
        return done

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._more.wait()
            self._more.clear()
            while self._queue:
                began_at = loop.time()
                count = min(len(self._queue), _APPENDED_PER_CALL)
                batch = [self._queue[i] for i in range(count)]
                try:
                    await self.log.append(
                        [self.record_of(p.logged, p.transaction) for p in batch]
                    )
                except LogUnavailable:
                    self.telemetry.count("log_retry")
                    await asyncio.sleep(_RETRY_S)
                    continue
                for pending in batch:
                    self._queue.popleft()
                    if not pending.done.done():
                        pending.done.set_result(None)
                async with self._acknowledging:
                    await self._acknowledge([p.key for p in batch if self._is_out(p)])
                if count < _APPENDED_PER_CALL:
                    await asyncio.sleep(began_at + self.gather_s - loop.time())

    def _is_out(self, pending: Pending) -> bool:
        """Whether the outbox may hold a decision that is in the log now."""
        return not (pending.provisional and self.logged(pending.key))

    async def _acknowledge(self, keys: list[tuple[str, str]]) -> None:
        if not keys:
            return
        try:
            await self.store.published(keys)
        except StoreUnavailable:
            # The sweep will find and append them again: byte-identical duplicates.
            log.info("outbox not cleared: %d decisions may be logged twice", len(keys))

    async def _sweep(self) -> None:
        while True:
            try:
                await self.sweep()
            except (StoreUnavailable, LogUnavailable):
                log.info("outbox not swept: store or log away")
            await asyncio.sleep(_SWEEP_INTERVAL_S)

    async def sweep(self) -> int:
        """Append what two sweeps in a row found in the outbox; returns how many."""
        entries = await self.store.outbox(count_max=_APPENDED_PER_CALL)
        left = self._seen.difference(pending.key for pending in self._queue)
        due = [e for e in entries if (e[0], e[1]) in left]
        self._seen = {(tenant, id_) for tenant, id_, _ in entries}
        if due:
            await self.log.append(
                [self.record_of(logged, None) for _, _, logged in due]
            )
            await self._acknowledge([(tenant, id_) for tenant, id_, _ in due])
            self.telemetry.count("outbox_swept", len(due))
        return len(due)

    async def close(self, *, within_s: float) -> None:
        """Append what is queued, for at most `within_s`; the outbox keeps the rest."""
        waiting = [pending.done for pending in self._queue]
        if waiting:
            await asyncio.wait(waiting, timeout=within_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._acknowledging:
                pass
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
