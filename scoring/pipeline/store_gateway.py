"""What the store is asked for a batch, within the time of each of its checks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from scoring.core.decision.decision import DegradationCode
from scoring.errors import StoreLate, StoreUnavailable
from scoring.pipeline.batch import Batch, Seen
from scoring.pipeline.budget import Budget
from scoring.pipeline.circuit_breaker import Circuit, Exchange
from scoring.pipeline.stage_timer import Stopwatch
from scoring.ports.check import Check
from scoring.ports.records import Recorded, Recording
from scoring.ports.store import Store

T = TypeVar("T")
# The least time an exchange to record is given, seconds: a loopback round trip.
_LAST_MOMENT_S = 0.001
# Asking again pays for those who have as much time again as was just spent in vain.
_AGAIN = 2
# Of the time left: the exchange to record needs the rest.
_CLEARING_SHARE = 0.5
# Of the time left, what may be spent on waiting for the store to recover.
_RIDE_OUT_SHARE = 0.5


@dataclass(slots=True)
class Exchanges:
    """Asks the store, and lets nobody's deadline be another's.

    Whoever waits is answered in time, whatever the store does. A store that is slow
    and still answering is given all the time that the checks have; one that fails
    opens the circuit, and is asked again where it recovers in time.
    """

    store: Store
    circuit: Circuit
    monotonic: Callable[[], float]
    budget: Budget

    async def observe(
        self,
        checks: list[Check],
        watch: Stopwatch,
        *,
        wait_for_store: bool,
        behind: int = 0,
    ) -> list[Seen]:
        """Observe; a degradation for each check answered without history.

        `behind` further checks of the same call are decided after these: they need
        their part of the time.
        """
        if not checks:
            return []
        if wait_for_store:
            exchange = partial(self.store.observe, checks)
            return list(await self.circuit.guarded(Exchange.OBSERVE, exchange))

        def left_s(i: int) -> float:
            return self._left_s(checks[i], len(checks) + behind)

        async def ask(own: list[int], timeout_s: float) -> Sequence[Seen]:
            asked = [checks[i] for i in own]
            return await self.store.observe(asked, timeout_s=timeout_s, partly=True)

        with watch.waiting():
            seen = await self._in_time(Exchange.OBSERVE, len(checks), left_s, ask)
        missing = (
            DegradationCode.OUT_OF_TIME
            if self.circuit.asks
            else DegradationCode.HISTORY_UNAVAILABLE
        )
        return [seen.get(i, missing) for i in range(len(checks))]

    def clearing_time(self, batch: Batch) -> Callable[[], float]:
        """What clearing times may take from now on: a share where somebody waits."""
        if all(check.deadline is None for check in batch.checks):
            return lambda: self.budget.store_s
        left_s = min(
            (
                self._left_s(c, len(batch.checks) + batch.behind)
                for i, c in enumerate(batch.checks)
                if batch.knows(i)
            ),
            default=0.0,
        )
        ends = self.monotonic() + min(left_s, self.budget.store_s) * _CLEARING_SHARE
        return lambda: ends - self.monotonic()

    async def record(
        self, batch: Batch, recordings: dict[int, Recording]
    ) -> dict[int, Recorded]:
        """What stands, by place; nothing where it could not be asked in time."""
        if not recordings:
            return {}
        places, asked = list(recordings), list(recordings.values())
        if batch.wait_for_store:
            exchange = partial(self.store.record, asked)
            told = await self.circuit.guarded(Exchange.RECORD, exchange)
            return dict(zip(places, told, strict=True))

        def left_s(i: int) -> float:
            # A decision that is made is worth a last moment to make it final.
            return max(
                self._left_s(batch.checks[places[i]], batch.behind), _LAST_MOMENT_S
            )

        async def ask(own: list[int], timeout_s: float) -> Sequence[Recorded]:
            some = [asked[i] for i in own]
            return await self.store.record(some, timeout_s=timeout_s, partly=True)

        with batch.watch.waiting():
            stands = await self._in_time(Exchange.RECORD, len(asked), left_s, ask)
        return {places[i]: one for i, one in stands.items() if one.reached}

    async def _in_time(
        self,
        kind: Exchange,
        count: int,
        left_s: Callable[[int], float],
        ask: Callable[[list[int], float], Awaitable[Sequence[T]]],
    ) -> dict[int, T]:
        """The replies by place, of those that could be had in time.

        The one with the least time decides how long an exchange may take; where that
        was too short, those who have more are asked for again, which is harmless.
        """
        places, spent_s = list(range(count)), 0.0
        while True:
            left = {i: left_s(i) for i in places}
            places = [i for i in places if left[i] > spent_s * _AGAIN]
            timeout_s = min((left[i] for i in places), default=0.0)
            if not places or not await self._asks(timeout_s):
                return {}
            try:
                told = await ask(places, timeout_s)
            except StoreLate:
                spent_s = timeout_s
            except StoreUnavailable as error:
                self.circuit.failed(kind, error)
            else:
                self.circuit.succeeded(kind)
                return dict(zip(places, told, strict=True))

    async def _asks(self, left_s: float) -> bool:
        """Whether the store can be asked, now or after a share of the time left."""
        return self.circuit.asks or await self.circuit.ridden_out(
            left_s * _RIDE_OUT_SHARE
        )

    def _left_s(self, check: Check, following: int) -> float:
        return self.budget.exchange_s(
            check.deadline, self.monotonic(), following=following
        )
