"""When a velocity refusal clears, if nothing else is attempted."""

from __future__ import annotations

from dataclasses import replace

from scoring.batch import Artifacts
from scoring.core.decide import clears_at, velocity_features
from scoring.core.decision import DecisionCore
from scoring.core.transaction import Transaction
from scoring.core.vector import vectorise
from scoring.errors import StoreUnavailable
from scoring.ports import Store

# A limit that was just passed clears with one of the next events that leave; one that
# was passed by far is left open: a flood of refusals must not cost the store more
# than the payments themselves.
_INSTANTS_MAX = 16


async def with_clearing_times(
    core: DecisionCore,
    transaction: Transaction,
    artifacts: Artifacts,
    store: Store,
    *,
    timeout_s: float,
) -> DecisionCore:
    """Tell of each velocity reason when its rule stops holding for this payload.

    One exchange within `timeout_s`. A reason is left without a time where none was
    found among the next instants, or in time.
    """
    features = velocity_features(core, artifacts.policy)
    if timeout_s <= 0 or not features:
        return core
    try:
        forecast = await store.forecast(
            transaction,
            features=features,
            after_ms=transaction.occurred_at_ms,
            instants_max=_INSTANTS_MAX,
            timeout_s=timeout_s,
        )
    except StoreUnavailable:
        return core
    instants = [at_ms for at_ms, _ in forecast]
    later = [replace(transaction, occurred_at_ms=at_ms) for at_ms in instants]
    rows = vectorise(artifacts.catalogue, later, [values for _, values in forecast])
    return clears_at(core, transaction, artifacts.policy, instants, rows)
