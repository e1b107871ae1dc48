"""The store in this process's memory: the reference engine behind the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress, islice

import numpy as np
from numpy.typing import NDArray

from scoring import wire
from scoring.core.features.catalogue import Catalogue
from scoring.core.features.reference import (
    CountedTransaction,
    LabelVersion,
    Reference,
    place,
)
from scoring.core.features.vector import unknown_values
from scoring.core.transaction.label import Label
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction
from scoring.ports.check import Check
from scoring.ports.follow_ups import (
    Attested,
    FollowUp,
    LabelledTransaction,
    Life,
    TransactionEvent,
)
from scoring.ports.history import Applied, Observation
from scoring.ports.patience import StorePatience
from scoring.ports.records import Recorded, Recording
from scoring.stores.memory.tallies import MemoryTallies

_Key = tuple[str, str]  # tenant, transaction id
_FOLLOW_UPS_MAX = 256  # of one payment


@dataclass(slots=True)
class _Claim:
    payload_hash: bytes
    claimed_at_ms: int
    observation: Observation | None = None
    decision: bytes | None = None
    payment: Transaction | None = None  # of the decision
    outcome: str = ""  # of the decision, where statistics are to see it


class MemoryStore:
    """`ports.store` for tests and small replays; nothing outlives the process.

    It answers at once and never raises `StoreUnavailable`. Claims are forgotten
    `dedupe_ms` after they were made, measured by the receipt of later checks.
    """

    def __init__(
        self, catalogue: Catalogue, *, lateness_ms: int, dedupe_ms: int
    ) -> None:
        self._catalogue = catalogue
        self._engine = Reference(catalogue)
        self._lateness_ms = lateness_ms
        self._dedupe_ms = dedupe_ms
        self._claims: dict[_Key, _Claim] = {}
        self._outbox: dict[_Key, bytes] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._follow_ups: dict[_Key, dict[int | str, Label | LifecycleEvent]] = {}
        self._processed = 0
        self._received_at_ms = 0
        self.tallies = MemoryTallies()

    async def observe(
        self,
        checks: Sequence[Check],
        *,
        timeout_s: float | None = None,
        patience: StorePatience = StorePatience.WAIT,
    ) -> list[Observation]:
        """See `ports.history`."""
        del timeout_s, patience
        return [self._observe(check) for check in checks]

    def _observe(self, check: Check) -> Observation:
        self._received_at_ms = max(self._received_at_ms, check.received_at_ms)
        self._forget_before(self._received_at_ms - self._dedupe_ms)
        t = check.transaction
        claim = self._claims.get((t.tenant, t.id))
        if claim and claim.payload_hash != check.payload_hash:
            unknown = unknown_values(self._catalogue)
            return Observation(values=unknown, applied=Applied.CONFLICT)
        if check.dry_run:
            return self._evaluated(t, Applied.DRY_RUN)
        if claim is None:
            claim = _Claim(check.payload_hash, check.received_at_ms)
            self._claims[t.tenant, t.id] = claim
        if claim.observation is None:
            claim.observation = self._counted(t)
            if claim.outcome:
                self._engine.settle(t, claim.outcome)
            return replace(claim.observation, stored=claim.decision)
        seen = claim.observation
        late = seen.applied is Applied.TOO_LATE
        applied = Applied.TOO_LATE if late else Applied.REPEATED
        return replace(seen, applied=applied, stored=claim.decision)

    def _counted(self, t: Transaction) -> Observation:
        self._processed += 1
        if self._engine.newest_ms(t) - self._lateness_ms > t.occurred_at_ms:
            return self._evaluated(t, Applied.TOO_LATE)
        observation = self._evaluated(t, Applied.COUNTED)
        self._engine.add(t)
        return observation

    def _evaluated(self, t: Transaction, applied: Applied) -> Observation:
        return Observation(
            values=self._engine.evaluate(t),
            applied=applied,
            processed_seq=0 if applied is Applied.DRY_RUN else self._processed,
        )

    def _forget_before(self, instant_ms: int) -> None:
        # Claims are in the order of their receipt, so the oldest come first.
        for key, claim in list(islice(self._claims.items(), 2)):
            if 0 < claim.claimed_at_ms < instant_ms and key not in self._outbox:
                del self._claims[key]

    async def record(
        self,
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None = None,
        patience: StorePatience = StorePatience.WAIT,
    ) -> list[Recorded]:
        """See `ports.records`."""
        del timeout_s, patience
        return [self._record(recording) for recording in recordings]

    def _record(self, recording: Recording) -> Recorded:
        key = (recording.tenant, recording.transaction_id)
        claim = self._claims.setdefault(
            key, _Claim(recording.payload_hash, self._received_at_ms)
        )
        if claim.payload_hash != recording.payload_hash:
            return Recorded(claim.decision or b"", first=False, conflict=True)
        if claim.decision is None:
            claim.decision = recording.decision
            claim.payment = t = recording.transaction
            if t is not None and recording.outcome:
                claim.outcome = recording.outcome.name
                self._engine.settle(t, claim.outcome)  # nothing if not yet counted
            if recording.logged is not None:
                self._outbox[key] = recording.logged
        return Recorded(claim.decision, first=claim.decision == recording.decision)

    async def reconcile(
        self,
        checks: Sequence[Check],
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None = None,
    ) -> list[Recorded]:
        """See `ports.records`."""
        told = await self.record(recordings, timeout_s=timeout_s)
        await self.observe(checks, timeout_s=timeout_s)
        return told

    async def decisions(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[bytes | None]:
        """See `ports.records`."""
        del timeout_s
        claims = [self._claims.get(key) for key in keys]
        return [claim.decision if claim else None for claim in claims]

    async def payments(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[Transaction | None]:
        """See `ports.records`."""
        del timeout_s
        return [c.payment if (c := self._claims.get(key)) else None for key in keys]

    async def attest(
        self, follow_ups: Sequence[FollowUp], *, timeout_s: float | None = None
    ) -> list[Attested]:
        """See `ports.follow_ups`."""
        del timeout_s
        return [self._attest(one) for one in follow_ups]

    def _attest(self, one: FollowUp) -> Attested:
        t, told = one.transaction, one.told
        known = self._follow_ups.setdefault((t.tenant, t.id), {})
        name = told.version if isinstance(told, Label) else told.event_id
        is_full = name not in known and len(known) >= _FOLLOW_UPS_MAX
        if is_full and isinstance(one, TransactionEvent):
            return Attested.FULL
        stands = known.setdefault(name, told)
        return Attested(wire.said_of(stands) == wire.said_of(told))

    async def lives(
        self, keys: Sequence[_Key], *, timeout_s: float | None = None
    ) -> list[Life]:
        """See `ports.follow_ups`."""
        del timeout_s
        return [_life(self._follow_ups.get(key, {}).values()) for key in keys]

    async def learn(
        self, follow_ups: Sequence[FollowUp], *, timeout_s: float | None = None
    ) -> list[Attested]:
        """See `ports.follow_ups`."""
        stand = await self.attest(follow_ups, timeout_s=timeout_s)
        for one in compress(follow_ups, [s is Attested.STANDS for s in stand]):
            if isinstance(one, LabelledTransaction):
                verdict = LabelVersion(one.version, one.known_at_ms, one.fraud)
                self._engine.learn(one.transaction, verdict)
            else:
                self._engine.happen(one.transaction, one.event)
        return stand

    async def forecast(
        self,
        transaction: Transaction,
        *,
        features: Sequence[str],
        after_ms: int,
        instants_max: int,
        timeout_s: float | None = None,
    ) -> list[tuple[int, NDArray[np.float64]]]:
        """See `ports.history`."""
        del timeout_s
        view = self._as_of(transaction)
        wanted = self._catalogue.slots_of(features)
        instants = {
            event.at_ms + slot.delay_ms + slot.window_ms
            for plan, key in view.entities(transaction)
            for event in view.events[key]
            for slot in plan.slots
            if slot.window_ms and slot in wanted
        }
        later = sorted(instant for instant in instants if instant > after_ms)
        asked = [
            range(plan.first_slot, plan.first_slot + len(plan.slots))
            for plan in self._catalogue.plans
            if wanted.intersection(plan.slots)
        ]
        places = [place for own in asked for place in own]
        forecasts = []
        for instant in later[:instants_max]:
            seen = view.evaluate(replace(transaction, occurred_at_ms=instant))
            values = unknown_values(self._catalogue)
            values[places] = seen[places]
            forecasts.append((instant, values))
        return forecasts

    def _as_of(self, t: Transaction) -> Reference:
        """The transaction's entities with what is at or before it."""
        view = Reference(self._catalogue, labels=self._engine.labels)
        for _, key in self._engine.entities(t):
            events = self._engine.events.get(key, [])
            before, is_there = place(
                events, CountedTransaction(t.occurred_at_ms, t.id, ())
            )
            view.events[key] = events[: before + is_there]
        return view

    async def outbox_pages(
        self, *, count: int
    ) -> AsyncIterator[list[tuple[str, str, bytes]]]:
        """See `ports.outbox`."""
        entries = [(*key, logged) for key, logged in self._outbox.items()]
        for start in range(0, len(entries), count):
            yield entries[start : start + count]

    async def lease(self, name: str, holder: str, *, for_s: float) -> bool:
        """See `ports.outbox`."""
        now = asyncio.get_running_loop().time()
        held_by, until = self._leases.get(name, (holder, now))
        if held_by != holder and until > now:
            return False
        self._leases[name] = (holder, now + for_s)
        return True

    async def clear_outbox(self, keys: Sequence[tuple[str, str]]) -> None:
        """See `ports.outbox`."""
        for key in keys:
            self._outbox.pop(key, None)

    async def ping(self, *, timeout_s: float | None = None) -> bool:
        """See `ports.store`."""
        del timeout_s
        return True

    async def close(self) -> None:
        """See `ports.store`."""


def _life(told: Iterable[Label | LifecycleEvent]) -> Life:
    labels = [wire.follow_up_to_bytes(one) for one in told if isinstance(one, Label)]
    events = [
        wire.follow_up_to_bytes(one) for one in told if isinstance(one, LifecycleEvent)
    ]
    return Life(tuple(labels), tuple(events))
