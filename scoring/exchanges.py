"""What the store is asked for a batch, within the time of each of its checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from scoring.batch import Batch, Seen
from scoring.budget import Budget
from scoring.core.decision import DegradationCode
from scoring.errors import StoreUnavailable
from scoring.ports import Check, Recorded, Recording, Store
from scoring.provisional import Provisional
from scoring.stopwatch import Stopwatch

# The least time an exchange to record is given, seconds: a loopback round trip.
_LAST_MOMENT_S = 0.001
# Asking again pays for those who have as much time again as was just spent in vain.
_AGAIN = 2
# Of the time left: the exchange to record needs the rest.
_CLEARING_SHARE = 0.5


@dataclass(slots=True)
class Exchanges:
    """Asks the store, says when it is away, and lets nobody's deadline be another's."""

    store: Store
    provisional: Provisional
    monotonic: Callable[[], float]
    budget: Budget
    _silent_s: float = 0.0  # of exchanges in vain since the store answered last

    async def observe(
        self, checks: list[Check], watch: Stopwatch, *, wait_for_store: bool
    ) -> list[Seen]:
        """Observe; a degradation for each check answered without history."""
        if not checks:
            return []
        if wait_for_store:
            exchange = partial(self.store.observe, checks)
            return list(await self.provisional.guarded(exchange))
        if not self.provisional.store_available:
            return [DegradationCode.HISTORY_UNAVAILABLE] * len(checks)
        allowed = [self._store_time(check) for check in checks]
        timeout_s = min(allowed)
        if timeout_s <= 0:
            return await self._observe_patient(checks, watch, allowed, timeout_s)
        started = self.monotonic()
        try:
            with watch.waiting():
                seen = await self.store.observe(
                    checks, timeout_s=timeout_s, partly=True
                )
        except StoreUnavailable:
            if self._only_hurried(started, timeout_s):
                return await self._observe_patient(checks, watch, allowed, timeout_s)
            return [DegradationCode.HISTORY_UNAVAILABLE] * len(checks)
        self._silent_s = 0.0
        return list(seen)

    def clearing_time(self, batch: Batch) -> Callable[[], float]:
        """What clearing times may take from now on: a share where somebody waits."""
        if all(check.deadline is None for check in batch.checks):
            return lambda: self.budget.store_s
        left_s = min(
            (self._store_time(c) for i, c in enumerate(batch.checks) if batch.knows(i)),
            default=0.0,
        )
        ends = self.monotonic() + left_s * _CLEARING_SHARE
        return lambda: ends - self.monotonic()

    async def record(
        self, batch: Batch, recordings: dict[int, Recording]
    ) -> dict[int, Recorded]:
        """What stands, by place; nothing where it could not be asked in time."""
        if not recordings:
            return {}
        asked = list(recordings.values())
        if batch.wait_for_store:
            told = await self.provisional.guarded(lambda: self.store.record(asked))
            return dict(zip(recordings, told, strict=True))
        # A decision that is made is worth a last moment to make it final.
        allowed = {
            i: max(self._store_time(batch.checks[i]), _LAST_MOMENT_S)
            for i in recordings
        }
        timeout_s = min(allowed.values())
        started = self.monotonic()
        try:
            with batch.watch.waiting():
                told = await self.store.record(asked, timeout_s=timeout_s, partly=True)
        except StoreUnavailable:
            if not self._only_hurried(started, timeout_s):
                return {}
            patient = {
                i: one
                for i, one in recordings.items()
                if allowed[i] > timeout_s * _AGAIN
            }
            return await self.record(batch, patient)
        self._silent_s = 0.0
        return {i: one for i, one in zip(recordings, told, strict=True) if one.reached}

    async def _observe_patient(
        self,
        checks: list[Check],
        watch: Stopwatch,
        allowed: list[float],
        spent_s: float,
    ) -> list[Seen]:
        """Observe again for those with time left; observing twice is harmless."""
        seen: list[Seen] = [DegradationCode.OUT_OF_TIME] * len(checks)
        patient = [i for i, s in enumerate(allowed) if s > max(spent_s * _AGAIN, 0.0)]
        again = await self.observe(
            [checks[i] for i in patient], watch, wait_for_store=False
        )
        for i, observation in zip(patient, again, strict=True):
            seen[i] = observation
        return seen

    def _store_time(self, check: Check) -> float:
        return self.budget.exchange_s(check.deadline, self.monotonic())

    def _only_hurried(self, started: float, timeout_s: float) -> bool:
        """Whether an exchange failed for a deadline's sake; else the store is away.

        It is, too, where it was silent for as long as one exchange may take, in
        however many short ones: else callers in a hurry would wait for it for ever.
        """
        waited_s = self.monotonic() - started
        self._silent_s += waited_s
        if (
            self.budget.hurried(waited_s, timeout_s)
            and self._silent_s < self.budget.store_s
        ):
            return True
        self._silent_s = 0.0
        self.provisional.store_failed()
        return False
