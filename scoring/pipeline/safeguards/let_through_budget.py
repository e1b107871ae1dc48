"""Lets a sample of would-be declines through, within each tenant's money of the day."""

from __future__ import annotations

from dataclasses import dataclass, field

from scoring.core.decision.decision import DecisionCore, Outcome
from scoring.core.policy.let_through import LetThroughSample, budget_day
from scoring.core.policy.policy import Policy
from scoring.core.transaction.transaction import Transaction
from scoring.pipeline.batch import Batch
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.events import Event
from scoring.ports.telemetry import Telemetry

_DECLINE = Outcome.DECLINE
_SLICES = 100  # of a budget: what a process that ends may leave unspent
_KEPT_MAX = 10_000  # budgets remembered, each of a tenant and a day

_Purse = tuple[str, int, int]  # tenant, day and its budget


@dataclass(slots=True)
class LetThroughBudget:
    """What this process may still let through.

    Money is reserved from all processes' budget in slices, before it is spent: what a
    process that dies had reserved is spent by nobody. A payment is let through only
    where what is left covers the largest that may be, so that small ones are not
    preferred when it runs short. Where the store does not answer, nothing is; where it
    has forgotten what was reserved of a day, nothing is any more that day.
    """

    gateway: StoreGateway
    telemetry: Telemetry
    _left: dict[_Purse, int] = field(default_factory=dict)
    _spent: set[_Purse] = field(default_factory=set)
    _reserved: dict[_Purse, int] = field(default_factory=dict)  # by all, as last told

    async def sampled(
        self, batch: Batch, policies: list[Policy], cores: list[DecisionCore]
    ) -> list[DecisionCore]:
        """The decisions, some would-be declines among them approved and flagged.

        In a dry run nothing is: nothing is spent.
        """
        if not batch.artifacts.in_force.samples:
            return cores
        for i, core in enumerate(cores):
            sample = policies[i].sample
            if core.outcome is not _DECLINE or sample is None:
                continue
            check = batch.checks[i]
            costs = sample.costs(core, check.transaction)
            if costs is None or check.dry_run or not sample.chooses(check.transaction):
                continue
            if await self._spends(sample, check.transaction, costs, batch):
                cores[i] = sample.approved(core)
                self.telemetry.count(Event.LET_THROUGH)
            else:
                self.telemetry.count(Event.LET_THROUGH_UNPAID)
        return cores

    async def _spends(
        self, sample: LetThroughSample, t: Transaction, costs: int, batch: Batch
    ) -> bool:
        purse = (t.tenant, budget_day(t), sample.budget_minor)
        most = sample.amount_minor_max
        while self._left.get(purse, 0) < most:
            if purse in self._spent or not await self._reserves(purse, most, batch):
                return False
        self._left[purse] -= costs
        return True

    async def _reserves(self, purse: _Purse, most: int, batch: Batch) -> bool:
        """Reserve a slice; False where the store does not say."""
        tenant, day, budget = purse
        asked = min(max(2 * most, budget // _SLICES), budget)
        allowed_s = self.gateway.clearing_time(batch)
        known = self._reserved.get(purse, 0)
        before = await self.gateway.reserve(tenant, day, asked, timeout_s=allowed_s())
        if before is None:
            return False
        if before < known:  # a store that was lost: nobody knows what was let through
            self._spent.add(purse)
            await self.gateway.reserve(tenant, day, budget, timeout_s=allowed_s())
            return False
        self._reserved[purse] = max(before + asked, self._reserved.get(purse, 0))
        granted = max(0, min(asked, budget - before))
        if granted < asked:
            self._spent.add(purse)
        self._left[purse] = self._left.pop(purse, 0) + granted
        self._forget()
        return True

    def _forget(self) -> None:
        """Keep the budgets that were drawn on last; to forget one only wastes it."""
        while len(self._left) > _KEPT_MAX:
            oldest = next(iter(self._left))
            del self._left[oldest]
            self._spent.discard(oldest)
            self._reserved.pop(oldest, None)
