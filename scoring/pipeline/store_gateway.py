"""The pipeline's way to the store: within budgets, through one circuit breaker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scoring.core.decision.decision import DegradationCode
from scoring.core.transaction.transaction import Transaction
from scoring.errors import StoreLate, StoreUnavailable
from scoring.pipeline.batch import Batch, Seen
from scoring.pipeline.budget import Budget
from scoring.pipeline.circuit_breaker import Circuit, Exchange
from scoring.pipeline.stage_timer import Stopwatch
from scoring.ports.check import Check
from scoring.ports.patience import StorePatience
from scoring.ports.records import Recorded, Recording
from scoring.ports.store import Store
from scoring.ports.telemetry import Telemetry

T = TypeVar("T")
Key = tuple[str, str]  # tenant and transaction id
# The least time an exchange to record is given, seconds: a loopback round trip.
_LAST_MOMENT_S = 0.001
# Asking again pays for checks that have as much time again as was just spent in vain.
_AGAIN = 2
# Of the time left: the exchange to record needs the rest.
_CLEARING_SHARE = 0.5
# Of the time left, what may be spent on waiting for the store to recover.
_RIDE_OUT_SHARE = 0.5
# To look up what was decided; others of the same micro-batch wait for it.
_LOOK_UP_S = 0.02
_PROBE_TIMEOUT_S = 0.25


@dataclass(slots=True)
class StoreGateway:
    """Asks the store, and lets nobody's deadline be another's.

    Whoever waits is answered in time, whatever the store does. A store that is slow
    and still answering is given all the time that the checks have; one that fails
    opens the circuit, and is asked again where it recovers in time.

    Around it go only calls that no decision waits for, and that have no answer but the
    store's: labels, lookups, and clearing the outbox, which a full store needs most.
    """

    store: Store
    telemetry: Telemetry
    monotonic: Callable[[], float]
    budget: Budget = field(default_factory=Budget)
    patience: StorePatience = StorePatience.ANSWER_IN_TIME
    circuit: Circuit = field(init=False)

    def __post_init__(self) -> None:
        """Begin with a store that is asked."""
        self.circuit = Circuit(self.telemetry)

    # For a decision ----------------------------------------------------------

    async def observe(
        self, checks: list[Check], watch: Stopwatch, *, behind: int = 0
    ) -> list[Seen]:
        """Observe; a degradation for each check answered without history.

        `behind` further checks of the same call are decided after these: they need
        their part of the time. Raises `StoreUnavailable` where nobody waits.
        """
        if not checks:
            return []
        if self.patience is StorePatience.WAIT:
            exchange = partial(self.store.observe, checks)
            return list(await self.circuit.guarded(Exchange.OBSERVE, exchange))

        def left_s(i: int) -> float:
            return self._left_s(checks[i], len(checks) + behind)

        async def ask(own: list[int], timeout_s: float) -> Sequence[Seen]:
            asked = [checks[i] for i in own]
            return await self.store.observe(
                asked, timeout_s=timeout_s, patience=self.patience
            )

        with watch.waiting():
            seen = await self._in_time(Exchange.OBSERVE, len(checks), left_s, ask)
        missing = (
            DegradationCode.OUT_OF_TIME
            if self.circuit.asks
            else DegradationCode.HISTORY_UNAVAILABLE
        )
        return [seen.get(i, missing) for i in range(len(checks))]

    async def record(
        self, batch: Batch, recordings: dict[int, Recording]
    ) -> dict[int, Recorded]:
        """What is recorded, by place; nothing where it could not be asked in time.

        Raises `StoreUnavailable` where nobody waits.
        """
        if not recordings:
            return {}
        places, asked = list(recordings), list(recordings.values())
        if self.patience is StorePatience.WAIT:
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
            return await self.store.record(
                some, timeout_s=timeout_s, patience=self.patience
            )

        with batch.watch.waiting():
            found = await self._in_time(Exchange.RECORD, len(asked), left_s, ask)
        return {places[i]: one for i, one in found.items() if one.reached}

    async def _in_time(
        self,
        kind: Exchange,
        count: int,
        left_s: Callable[[int], float],
        ask: Callable[[list[int], float], Awaitable[Sequence[T]]],
    ) -> dict[int, T]:
        """The replies by place, of those that could be had in time.

        The one with the least time decides how long an exchange may take; where that
        was too short, checks that have more are asked for again, which is harmless.
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

    # To say more of one ------------------------------------------------------
    #
    # A decision does without: the circuit is heeded, and nothing of this opens it.

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

    async def forecast(
        self,
        transaction: Transaction,
        features: Sequence[str],
        *,
        instants_max: int,
        timeout_s: float,
    ) -> list[tuple[int, NDArray[np.float64]]] | None:
        """See `ports.history`, from the transaction on; None where not in time."""
        if timeout_s <= 0 or not self.circuit.asks:
            return None
        try:
            return await self.store.forecast(
                transaction,
                features=features,
                after_ms=transaction.occurred_at_ms,
                instants_max=instants_max,
                timeout_s=timeout_s,
            )
        except StoreUnavailable:
            return None

    async def payments(self, keys: Sequence[Key]) -> list[Transaction | None]:
        """See `ports.records`; None for all where the store does not say in time."""
        if self.circuit.asks:
            try:
                return await self.store.payments(keys, timeout_s=_LOOK_UP_S)
            except StoreUnavailable:
                pass
        return [None] * len(keys)

    async def reserve(
        self, tenant: str, day: int, minor: int, *, timeout_s: float
    ) -> int | None:
        """See `ports.tallies`; None where the store does not say in time."""
        if timeout_s <= 0 or not self.circuit.asks:
            return None
        try:
            return await self.store.tallies.reserve(
                tenant, day, minor, timeout_s=timeout_s
            )
        except StoreUnavailable:
            return None

    # To recover --------------------------------------------------------------

    async def contact(self) -> None:
        """Ask the store for the first time; an unavailable one opens the circuit.

        Raises `BadArtifact` where it can never be asked, as our settings are.
        """
        try:
            await self.store.ping()
        except StoreUnavailable as error:
            self.circuit.failed(Exchange.OBSERVE, error)
            self.circuit.probe_failed(error)

    async def probe(self, prove: Callable[[], Awaitable[bool]]) -> None:
        """Ask whether the store has recovered, and tell the circuit.

        Where all of it has, `prove` may show it by exchanges of every kind. Raises
        `BadArtifact` as `contact`.
        """
        try:
            whole = await self.store.ping(timeout_s=_PROBE_TIMEOUT_S)
            proved = whole and await prove()
        except StoreUnavailable as error:
            self.circuit.probe_failed(error)
        else:
            self.circuit.probe_answered(whole=whole, proved=proved)

    async def reconcile(
        self, checks: Sequence[Check], recordings: Sequence[Recording]
    ) -> list[Recorded]:
        """See `ports.records`: part of a probe, so the circuit is not asked."""
        return await self.store.reconcile(checks, recordings)

    async def clear_outbox(self, keys: Sequence[Key]) -> None:
        """See `ports.outbox`: part of a probe, as `reconcile`."""
        await self.store.clear_outbox(keys)
