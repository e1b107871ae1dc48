"""Relays orphans: outbox entries whose process ended before the log had them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from scoring.core.transaction.transaction import Transaction
from scoring.errors import RecordRefused, ScoringError
from scoring.pipeline.steps import Step, reached
from scoring.ports.events import Event
from scoring.ports.log import DecisionLog, LogRecord
from scoring.ports.outbox import Outbox
from scoring.ports.telemetry import Telemetry

log = logging.getLogger(__name__)
Key = tuple[str, str]  # tenant and transaction id
Entry = tuple[str, str, bytes]
PAGE_COUNT = 500
# An entry that is found twice in a row is an orphan: what a living relay holds has
# left the outbox in between, while the log takes records.
INTERVAL_S = 5.0
# One process at a time looks for orphans; another follows this long after it ended.
# The name is in the store, where earlier releases look for it.
_LEASE = "sweep"
_LEASE_S = 15.0
# An append that took so long says that the log was unavailable: others had no chance to
# append what is theirs, so all are looked at anew.
_UNAVAILABLE_S = 2.0
_REST_S_MAX = 0.005
_SENT_PER_TURN = 16


@dataclass(slots=True)
class Pace:
    """Gives others the loop: rests after a few records for as long as they took, twice.

    Callers wait for answers on the same loop. A few records take about half a
    millisecond, and a third of the loop is enough for 10,000 records a second.
    """

    _began_at: float

    @classmethod
    def begun(cls) -> Pace:
        """The work begins."""
        return cls(asyncio.get_running_loop().time())

    async def rest(self) -> None:
        """Let the others continue."""
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(min(2.0 * (now - self._began_at), _REST_S_MAX))
        self._began_at = asyncio.get_running_loop().time()


def portions(count: int) -> Iterator[slice]:
    """Slices of a list of so many, each small enough to go out at one turn.

    >>> list(portions(20))
    [slice(0, 16, None), slice(16, 20, None)]
    """
    for start in range(0, count, _SENT_PER_TURN):
        yield slice(start, min(start + _SENT_PER_TURN, count))


@dataclass(slots=True)
class OrphanRelay:
    """Appends what two looks at the outbox in a row found, and clears it.

    `held` says what this process appends itself. `set_aside` takes a record
    that the log refused, and returns when nothing of it can be lost. An entry that
    cannot be read stays where it is, is counted (`outbox_unreadable`) and named once:
    a later release may read it, and the others continue.
    """

    outbox: Outbox
    log: DecisionLog
    record_of: Callable[[bytes, Transaction | None], LogRecord]
    telemetry: Telemetry
    held: Callable[[Key], bool]
    set_aside: Callable[[Key, LogRecord, RecordRefused], Awaitable[bool]]
    found_count: int | None = None
    _holder: str = field(default_factory=lambda: uuid4().hex)
    _seen: set[Key] = field(default_factory=set)
    _aside: set[Key] = field(default_factory=set)

    async def relay(self) -> int:
        """Look at all of it once; returns how many entries were appended.

        Raises `StoreUnavailable`, `LogUnavailable`: it begins anew then.
        """
        seen, self._seen = self._seen, set()
        if not await self._is_ours():
            self.found_count = None
            return 0
        found: set[Key] = set()
        relayed = 0
        async for page in self.outbox.outbox_pages(count=PAGE_COUNT):
            keys = {(tenant, id_) for tenant, id_, _ in page}
            found |= keys
            due = (keys & seen).difference(self._aside)
            due = {key for key in due if not self.held(key)}
            if not due:
                continue
            wanted = [e for e in page if (e[0], e[1]) in due]
            count, is_unavailable = await self._carry(wanted)
            relayed += count
            if is_unavailable or not await self._is_ours():
                return relayed
        self._aside &= found
        self._seen, self.found_count = found, len(found)
        return relayed

    async def _is_ours(self) -> bool:
        return await self.outbox.lease(_LEASE, self._holder, for_s=_LEASE_S)

    async def _carry(self, due: Sequence[Entry]) -> tuple[int, bool]:
        """Append these and clear them: how many, and whether the log was unavailable.

        Where it was, only the first few are appended.
        """
        is_unavailable = False
        sent: list[tuple[Key, LogRecord, asyncio.Future[None]]] = []
        pace = Pace.begun()
        for portion in portions(len(due)):
            made = list(self._records(due[portion]))
            reached(Step.ORPHAN_FOUND)
            futures = self.log.send([record for _, record in made])
            sent += [(k, r, f) for (k, r), f in zip(made, futures, strict=True)]
            if futures and portion.start == 0:
                if is_unavailable := await self._waited(futures):
                    break
                pace = Pace.begun()
            await pace.rest()
        if not sent:
            return 0, False
        is_unavailable |= await self._waited([future for _, _, future in sent])
        safe = [key for key, r, future in sent if await self._is_safe(key, r, future)]
        reached(Step.ORPHAN_RELAYED)
        if safe:
            await self.outbox.clear_outbox(safe)
            self.telemetry.count(Event.OUTBOX_ORPHAN_RELAYED, len(safe))
        return len(safe), is_unavailable

    async def _waited(self, futures: Sequence[asyncio.Future[None]]) -> bool:
        """Wait for the log; whether that took so long that it was unavailable."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        await asyncio.wait(futures)
        return loop.time() - began_at > _UNAVAILABLE_S

    def _records(self, due: Sequence[Entry]) -> Iterator[tuple[Key, LogRecord]]:
        for tenant, id_, logged in due:
            try:
                yield (tenant, id_), self.record_of(logged, None)
            except ScoringError as error:
                self._aside.add((tenant, id_))
                self.telemetry.count(Event.OUTBOX_UNREADABLE)
                log.warning(
                    "outbox entry %s:%s cannot be read and remains: %s",
                    *(tenant, id_, error),
                )

    async def _is_safe(
        self, key: Key, record: LogRecord, future: asyncio.Future[None]
    ) -> bool:
        error = future.exception()
        if isinstance(error, RecordRefused):
            is_safe = await self.set_aside(key, record, error)
            if not is_safe:
                self._aside.add(key)
            return is_safe
        if error is not None:
            raise error
        return True
