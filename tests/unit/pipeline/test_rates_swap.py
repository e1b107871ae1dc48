"""Other rates come into force between two batches, never within one."""

import asyncio
from dataclasses import replace

import pytest
from rates_parts import rates_of
from streams import DAY_MS, PAID, check

from scoring import wire
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.in_force import InForce
from scoring.core.policy.shipped_policy import default_policy
from scoring.models.onnx_model import load_model
from scoring.pipeline.batch import Artifacts
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.patience import StorePatience
from scoring.stores.memory.store import MemoryStore
from scoring.stores.spool import MemorySpool
from scoring.telemetry.prometheus import SilentTelemetry

BEFORE, AFTER = rates_of(USD="0.5"), rates_of(USD="2")
CATALOGUE = default_catalogue().converting_by(BEFORE)
AMOUNT, SUM = (CATALOGUE.names.index(n) for n in ("amount", "card_sum_1d"))


class Held:
    """A store that counts, and answers when it may."""

    def __init__(self):
        self._store = MemoryStore(CATALOGUE, lateness_ms=DAY_MS, dedupe_ms=DAY_MS)
        self.observed, self.go_on = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def observe(self, *args, **kwargs):
        seen = await self._store.observe(*args, **kwargs)
        self.observed.set()
        await self.go_on.wait()
        return seen


@pytest.fixture
async def scorer(model_dir):
    store, telemetry = Held(), SilentTelemetry()
    model = load_model(model_dir, catalogue=CATALOGUE)
    gateway = StoreGateway(
        store,
        telemetry,
        asyncio.get_running_loop().time,
        patience=StorePatience.WAIT,
    )
    provisional = Provisional(gateway, MemorySpool(count_max=10), telemetry, 10)
    yield Scorer(
        gateway=gateway,
        artifacts=Artifacts(CATALOGUE, model, InForce(default_policy(CATALOGUE))),
        provisional=provisional,
        telemetry=telemetry,
        now_ms=lambda: PAID.occurred_at_ms,
    )
    await provisional.close()


async def test_rates_that_change_during_a_batch_are_those_of_the_next(scorer):
    def scoring(id_):
        checks = [check(replace(PAID, id=id_, currency="USD"))]
        return asyncio.create_task(scorer.score_many(checks))

    first = scoring("first")
    await scorer.gateway.store.observed.wait()
    changing = asyncio.create_task(scorer.convert_by(AFTER, within_s=5))
    await asyncio.sleep(0)
    second = scoring("second")
    await asyncio.sleep(0.01)
    scorer.gateway.store.go_on.set()
    assert await changing
    answers = await asyncio.gather(first, second)
    cores = [wire.decision_from_bytes(answer.decision).core for (answer,) in answers]
    assert [core.features[AMOUNT] for core in cores] == [500, 2_000]
    # What was counted stays as the rates of its batch made it.
    assert [core.features[SUM] for core in cores] == [500, 2_500]
    assert [c.versions.rates for c in cores] == [BEFORE.version, AFTER.version]
