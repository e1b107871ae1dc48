"""When a velocity refusal clears, if nothing else is attempted."""

from __future__ import annotations

import numpy as np

from scoring.batch import Artifacts
from scoring.core.decide import clears_at, velocity_features
from scoring.core.decision import DecisionCore
from scoring.core.transaction import Transaction
from scoring.core.vector import vectorise
from scoring.errors import StoreUnavailable
from scoring.ports import Store

# A limit that was just passed clears with the first event that leaves; one that was
# passed by far is looked for once more and then left open: a flood of refusals must
# not turn into a flood of look-ups.
_INSTANTS_BY_STEP = (4, 16)


async def with_clearing_times(
    core: DecisionCore,
    transaction: Transaction,
    artifacts: Artifacts,
    store: Store,
    *,
    timeout_s: float,
) -> DecisionCore:
    """Tell of each velocity reason when its rule stops holding for this payload.

    At most one exchange a step, each within `timeout_s`. A reason is left without a
    time where none was found in the steps or in time.
    """
    features = velocity_features(core, artifacts.policy)
    after_ms = transaction.occurred_at_ms
    instants: list[int] = []
    rows = np.empty((0, len(artifacts.catalogue.names)), np.float32)
    for instants_max in _INSTANTS_BY_STEP:
        if timeout_s <= 0 or not features:
            break
        try:
            forecast = await store.forecast(
                transaction,
                features=features,
                after_ms=after_ms,
                instants_max=instants_max,
                timeout_s=timeout_s,
            )
        except StoreUnavailable:
            break
        instants += [at_ms for at_ms, _ in forecast]
        seen = [values for _, values in forecast]
        later = vectorise(artifacts.catalogue, [transaction] * len(seen), seen)
        rows = np.concatenate([rows, later])
        core = clears_at(core, transaction, artifacts.policy, instants, rows)
        if _all_clear(core) or len(forecast) < instants_max:
            break
        after_ms = instants[-1]
    return core


def _all_clear(core: DecisionCore) -> bool:
    velocities = [reason.velocity for reason in core.reasons if reason.velocity]
    return all(velocity.clears_at_ms is not None for velocity in velocities)
