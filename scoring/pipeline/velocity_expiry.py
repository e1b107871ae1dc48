"""When a velocity refusal clears, if nothing else is attempted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scoring.core.decision.decision import DecisionCore
from scoring.core.features.vector import vectorise
from scoring.core.policy.decide import clears_at, velocity_features
from scoring.core.transaction.transaction import Transaction
from scoring.pipeline.batch import Artifacts, Batch
from scoring.pipeline.store_gateway import StoreGateway

# A limit that was just passed clears with one of the next events that leave; one that
# was passed by far is left open: a flood of refusals must not cost the store more
# than the payments themselves.
_INSTANTS_MAX = 16


async def with_clearing_times(
    cores: Sequence[DecisionCore],
    batch: Batch,
    gateway: StoreGateway,
) -> list[DecisionCore]:
    """Tell of each velocity reason when its rule stops holding for its payload.

    One exchange a decision that has such reasons, within the time for all of them; a
    store that does not answer is asked no more. A reason is left without a time where
    none was found among the next instants, or in time.
    """
    told = list(cores)
    allowed_s = gateway.clearing_time(batch)
    for i, core in enumerate(cores):
        transaction = batch.checks[i].transaction
        policy = batch.artifacts.in_force.of(transaction)
        features = velocity_features(core, policy)
        if not features or not batch.knows(i):
            continue
        forecast = await gateway.forecast(
            transaction, features, instants_max=_INSTANTS_MAX, timeout_s=allowed_s()
        )
        if forecast is None:
            break
        told[i] = _cleared(core, transaction, batch.artifacts, forecast)
    return told


def _cleared(
    core: DecisionCore,
    transaction: Transaction,
    artifacts: Artifacts,
    forecast: Sequence[tuple[int, NDArray[np.float64]]],
) -> DecisionCore:
    instants = [at_ms for at_ms, _ in forecast]
    later = [replace(transaction, occurred_at_ms=at_ms) for at_ms in instants]
    rows = vectorise(artifacts.catalogue, later, [values for _, values in forecast])
    policy = artifacts.in_force.of(transaction)
    return clears_at(core, transaction, policy, instants, rows)
