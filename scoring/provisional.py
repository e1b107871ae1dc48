"""Answers given while the store was away, and their adoption when it is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from scoring import wire
from scoring.core.decision import Outcome
from scoring.core.transaction import payload_hash
from scoring.errors import StoreUnavailable, TransactionConflict
from scoring.ports import Check, Recording, Spool, Store, Telemetry

log = logging.getLogger(__name__)
T = TypeVar("T")
# Some 2 ms of a loop where callers wait for answers, and of a store that they share.
_ADOPTED_PER_EXCHANGE = 16
_PROBE_INTERVAL_S = 0.1
_PROBE_TIMEOUT_S = 0.25


@dataclass(frozen=True, slots=True)
class Kept:
    """A provisional answer waiting to become the record."""

    check: Check
    recording: Recording


@dataclass(slots=True)
class Provisional:
    """Whether the store can be asked, and what was answered without it.

    While the store is away nobody waits for it: one probe at a time asks whether
    it is back. Then every kept answer becomes the record (unless another stands
    there) and its transaction is observed, before new work. Bounded by
    `count_max`; what does not fit is counted as `provisional_overflow`.
    """

    store: Store
    spool: Spool
    telemetry: Telemetry
    count_max: int
    store_available: bool = True
    _kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    _recovery: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many answers wait for adoption."""
        return len(self._kept)

    def answers(
        self, checks: Sequence[Check]
    ) -> list[bytes | TransactionConflict | None]:
        """Answers to repeats of what is kept: the same bytes, or a conflict."""
        if not self._kept:
            return [None] * len(checks)
        return [self._answer(check) for check in checks]

    def _answer(self, check: Check) -> bytes | TransactionConflict | None:
        kept = self._kept.get((check.transaction.tenant, check.transaction.id))
        if kept is None or check.dry_run:
            return None
        if kept.check.payload_hash != check.payload_hash:
            return TransactionConflict(check.transaction.id)
        return kept.recording.decision

    def keep(self, check: Check, recording: Recording, *, log: bool) -> None:
        """Keep an answer for adoption; with `log`, adoption also logs it."""
        key = (recording.tenant, recording.transaction_id)
        assert recording.logged is not None
        if len(self._kept) >= self.count_max or not self.spool.append(recording.logged):
            self.telemetry.count("provisional_overflow")
        else:
            kept = recording if log else replace(recording, logged=None)
            self._kept[key] = Kept(check, kept)
        self._recover()

    def restore(self) -> None:
        """Take over what an earlier process spooled and could not see adopted."""
        for logged in self.spool.load():
            message = wire.decision_from_bytes(logged)
            transaction = wire.transaction_from_proto(message.transaction)
            check = Check(
                transaction=transaction,
                payload_hash=payload_hash(transaction),
                received_at_ms=wire.ms_from_timestamp(message.received_at),
                door=wire.door_of(logged),
            )
            recording = Recording(
                tenant=transaction.tenant,
                transaction_id=transaction.id,
                payload_hash=check.payload_hash,
                decision=wire.decision_part(logged),
                logged=logged,
                transaction=transaction,
                outcome=Outcome(message.core.outcome),
            )
            self._kept[transaction.tenant, transaction.id] = Kept(check, recording)
        if self._kept:
            self._recover()

    async def guarded(self, exchange: Callable[[], Awaitable[T]]) -> T:
        """Run an exchange unless the store is known to be away; mark a failure."""
        if not self.store_available:
            raise StoreUnavailable("the store is away")
        try:
            return await exchange()
        except StoreUnavailable:
            self.store_failed()
            raise

    def store_failed(self) -> None:
        """Stop asking until a probe is answered."""
        if self.store_available:
            log.warning("store away: answers are degraded and provisional")
            self.telemetry.count("store_lost")
        self.store_available = False
        self._recover()

    def _recover(self) -> None:
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.get_running_loop().create_task(self._adopt())

    async def _adopt(self) -> None:
        while self._kept or not self.store_available:
            try:
                whole = await self.store.ping(timeout_s=_PROBE_TIMEOUT_S)
                if whole:
                    await self._adopt_all()
            except StoreUnavailable:
                await asyncio.sleep(_PROBE_INTERVAL_S)
                continue
            self._store_back(whole=whole)
            if not whole:  # what is kept waits for all of it
                await asyncio.sleep(_PROBE_INTERVAL_S)

    def _store_back(self, *, whole: bool) -> None:
        if not self.store_available:
            what = "full decisions again" if whole else "a part of it, at least"
            log.warning("store back: %s", what)
            self.telemetry.count("store_back")
        self.store_available = True

    async def _adopt_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._kept:
            began = loop.time()
            keys = list(islice(self._kept, _ADOPTED_PER_EXCHANGE))
            batch = [self._kept[key] for key in keys]
            told = await self.store.adopt(
                [kept.check for kept in batch], [kept.recording for kept in batch]
            )
            for key in keys:
                self._kept.pop(key, None)
            self.telemetry.count("provisional_adopted", sum(r.first for r in told))
            if self._kept and self.store_available:
                # Only a part was away: callers are decided in full, and go halves.
                await asyncio.sleep(loop.time() - began)
        self.spool.clear()

    async def close(self) -> None:
        """Stop probing; what is still kept stays in the spool."""
        if self._recovery is not None:
            self._recovery.cancel()
