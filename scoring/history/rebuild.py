"""Fills a store from the history: state, decisions, follow-ups, then what came since.

While it runs, a word is in the store where transactions are numbered, and no
server reads or counts: gRPC answers are degraded and provisional, the stream waits.
What they append meanwhile is replayed before the number is put back, and once after,
for what slipped in between: both are harmless to repeat. Traffic goes on, so that there
is always more: what comes once the number is back the servers count themselves.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scoring import wire
from scoring.core.features.catalogue import Catalogue
from scoring.errors import BadArtifact, HistoryLost
from scoring.history.archive import Archive, NextOffsets
from scoring.history.ledger import Ledger, LedgerEntry, LogSpan
from scoring.history.packing.install import (
    INSTALLED_PER_EXCHANGE,
    REPLAYED_PER_EXCHANGE,
    chunks,
    installed,
    proved,
)
from scoring.history.packing.packer import Packer
from scoring.history.topic_archiver import Progress, silent
from scoring.ports.follow_ups import FollowUp
from scoring.stores.redis.bulk_load import Item, RedisHistory
from scoring.stores.redis.formats import MARK_REBUILDING

Take = Callable[[], Awaitable[object]]  # brings the archive up to date
# What is replayed after the number is back may be newer than the log was before.
_AHEAD_MS = 3_600_000


@dataclass(slots=True)
class Milestones:
    """How far a rebuild has come, in a file beside the archive it reads."""

    file: Path
    key: str  # which store, namespace and definitions
    base: NextOffsets = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path, key: str) -> Milestones:
        """Where an interrupted rebuild of the same stopped, else the beginning."""
        fresh = cls(file, key)
        if not file.exists():
            return fresh
        noted = json.loads(file.read_text("utf-8"))
        if noted["key"] != key:
            return fresh
        base = {
            kind: {int(p): offset for p, offset in own.items()}
            for kind, own in noted["base"].items()
        }
        return cls(file, key, base, noted["done"])

    def reach(self, stage: str, position: int) -> None:
        """Note that a stage has come to a position."""
        self.done[stage] = position
        noted = {k: v for k, v in asdict(self).items() if k != "file"}
        fresh = self.file.with_suffix(".part")
        fresh.write_text(json.dumps(noted), "utf-8")
        fresh.replace(self.file)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild put back."""

    transactions: int
    decisions: int
    labels: int
    tail: int
    other_rates: int = 0
    events: int = 0

    def __str__(self) -> str:
        """One line for the operator.

        >>> print(Rebuilt(1200, 300, 7, 0))
        1,200 transactions, 300 decisions and 7 labels are back, 0 of them meanwhile
        """
        told = (
            f"{self.transactions:,} transactions, {self.decisions:,} decisions and "
            f"{self.labels:,} labels are back, {self.tail:,} of them meanwhile"
        )
        if self.events:
            told += f"; so are {self.events:,} lifecycle events"
        if not self.other_rates:
            return told
        return (
            f"{told}; {self.other_rates:,} were decided by other exchange rates, and "
            "are converted by the present ones now"
        )


@dataclass(slots=True, kw_only=True)
class Rebuild:
    """One rebuild of a namespace from an archive; `run` may be called again.

    `marks` is false where the history is put under the keys of other definitions
    than the live ones: nobody reads those yet, so nobody has to wait. `dedupe_ms`
    is how long after it was made a decision answers its repeats, `now_ms` the wall
    clock that this is measured by.
    """

    store: RedisHistory
    archive: Archive
    catalogue: Catalogue
    lateness_ms: int
    dedupe_ms: int
    now_ms: Callable[[], int]
    take: Take
    milestones: Milestones
    marks: bool = True
    progress: Progress = silent
    decisions: int = 0
    labels: int = 0
    events: int = 0
    other_rates: int = 0
    last_place: int = 1
    newest_ms: int = 0
    _since: NextOffsets = field(default_factory=dict)

    async def run(self) -> Rebuilt:
        """Put everything back; raises `StoreUnavailable`, `LogUnavailable`."""
        if self.marks:
            await self._begin()
        await self.take()
        if not self.milestones.base:
            # What the archive holds now is the bulk; the rest comes as the tail.
            self.milestones.base = self.archive.next_offsets()
            self.milestones.reach("base", 0)
        self._since = self.milestones.base
        bulk = await self._bulk()
        meanwhile = await self._caught_up()
        if self.marks:
            newest_ms = max(self.newest_ms, self.now_ms() + _AHEAD_MS)
            await self._refuse_lost()
            await self.store.set_mark(self.last_place, newest_ms=newest_ms)
            await self.take()
            meanwhile += await self._meanwhile()
        self.milestones.file.unlink(missing_ok=True)
        return Rebuilt(
            bulk + meanwhile,
            self.decisions,
            self.labels,
            meanwhile,
            self.other_rates,
            self.events,
        )

    async def follow(self) -> int:
        """Take and replay what was appended since `run`; returns how many."""
        await self.take()
        return await self._meanwhile()

    async def _begin(self) -> None:
        mark = await self.store.mark()
        numbered = mark.isdigit() and int(mark) > 1
        # A cluster may have lost the server of the number, and kept the others.
        if numbered or (mark != MARK_REBUILDING and await self.store.is_begun()):
            raise BadArtifact(
                "the store has a history"
                + (f" ({mark} processed)" if numbered else ", or part of one")
                + ": a rebuild begins with an empty one; add --wipe to clear it first"
            )
        if mark != MARK_REBUILDING:
            # Another store than the one that was half filled, or the same but wiped.
            self.milestones.base, self.milestones.done = {}, {}
        await self.store.set_mark(MARK_REBUILDING)

    async def _refuse_lost(self) -> None:
        """Let nobody at a store that was emptied again while it was filled."""
        await self.store.store.ping()
        if await self.store.mark() != MARK_REBUILDING:
            raise HistoryLost(
                "the store lost what was put back: run `scoring rebuild` again"
            )

    async def _bulk(self) -> int:
        ledger = self._ledger(LogSpan(until=self.milestones.base))
        count = await self._replay(ledger, "transactions", await self._packed(ledger))
        if self.marks:
            await self._restore(ledger, "decisions")
        await self._learn(ledger, "labels", "labels")
        await self._learn(ledger, "events", "events")
        return count

    async def _caught_up(self) -> int:
        """Replay what was appended since, and during that, while that grows fast less;
        returns how many.
        """
        count = found = await self._meanwhile()
        while found:
            await self.take()
            before, found = found, await self._meanwhile()
            count += found
            if 2 * found > before:  # it is what comes in the time of a pass
                break
        return count

    async def _meanwhile(self) -> int:
        """Replay what was taken since the last time; returns how many."""
        now = self.archive.next_offsets()
        if self._since == now:
            return 0
        ledger = self._ledger(LogSpan(since=self._since))
        self._since = now
        count = await self._replay(ledger, "")
        if self.marks:
            await self._restore(ledger, "")
        await self._learn(ledger, "labels", "")
        await self._learn(ledger, "events", "")
        return count

    def _ledger(self, span: LogSpan) -> Ledger:
        ledger = Ledger(
            self.archive, self.catalogue, lateness_ms=self.lateness_ms, span=span
        )
        self.last_place = max(self.last_place, ledger.last_place)
        self.newest_ms = max(self.newest_ms, ledger.newest_ms)
        self.other_rates += ledger.other_rates
        return ledger

    async def _packed(self, ledger: Ledger) -> str:
        """Install what can be packed; returns the condition of what is to be replayed.

        Nothing is packed over a history that has begun, or where the program makes
        other bytes of a sample: then everything is replayed, which is slow and right.
        """
        packer = Packer(ledger, self.store.layout, self.store.terms)
        if not self.milestones.done.get("transactions") and (
            await self.store.is_begun() or not await proved(packer, self.store)
        ):
            return "true"
        return await installed(packer, self.store, self.progress)

    async def _replay(self, ledger: Ledger, stage: str, where: str = "true") -> int:
        """Count everything again, in processing order; returns how many there are."""
        done, whole = self.milestones.done.get(stage, 0), ledger.count
        rows = ledger.decided(start=done, where=f"NOT too_late AND ({where})")
        for chunk in chunks(rows, REPLAYED_PER_EXCHANGE):
            await self.store.replay([(one.check, one.outcome) for one in chunk])
            self._reached(stage, chunk[-1].n + 1, whole)
        self._reached(stage, whole, whole)
        return whole

    async def _restore(self, ledger: Ledger, stage: str) -> None:
        """Put back the decisions that still answer repeats."""
        done, whole = self.milestones.done.get(stage, 0), ledger.count
        oldest = self.now_ms() - self.dedupe_ms
        rows = ledger.decided(
            start=done, where=f"decision IS NOT NULL AND decided_at_ms > {oldest}"
        )
        for chunk in chunks(rows, INSTALLED_PER_EXCHANGE):
            await self.store.install([self._item(one, oldest) for one in chunk])
            self.decisions += len(chunk)
            self._reached(stage, chunk[-1].n + 1, whole)
        self._reached(stage, whole, whole)

    def _item(self, one: LedgerEntry, oldest: int) -> Item:
        assert one.decision is not None
        check, left_ms = one.check, one.decided_at_ms - oldest
        return self.store.decided(
            check.transaction, check.payload_hash, wire.recorded(one.decision), left_ms
        )

    async def _learn(self, ledger: Ledger, kind: str, stage: str) -> None:
        """Learn all labels or events again, in the order in which they became known."""
        done, position = self.milestones.done.get(stage, 0), 0
        whole = ledger.follow_up_count(kind)
        told: Iterator[FollowUp] = (
            ledger.labels() if kind == "labels" else ledger.events()
        )
        for chunk in chunks(told, REPLAYED_PER_EXCHANGE):
            position += len(chunk)
            if position > done:
                await self.store.learn(chunk)
                self._reached(stage, position, whole)
        self._reached(stage, position, position)
        if kind == "labels":
            self.labels += position
        else:
            self.events += position

    def _reached(self, stage: str, position: int, whole: int) -> None:
        if stage:  # the tail is short: it begins anew
            self.milestones.reach(stage, position)
            self.progress(stage, position, whole)
