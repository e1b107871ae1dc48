"""Managed lists in the pipeline: to the millisecond of event time, store or not."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from list_parts import base_records
from streams import DAY_MS

from scoring.core.decision.decision import Door, Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import load_policy
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper
from scoring.pipeline.batch import Artifacts
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.check import Check
from scoring.stores.memory.store import MemoryStore
from scoring.stores.spool import MemorySpool
from tests.small_policy import SMALL
from tests.unit.pipeline.test_safeguards import Counting, Quiet

CATALOGUE = default_catalogue()
NOW_MS = 1_700_000_000_000
TEXT = SMALL + (
    "lists:\n  blocked: {field: card, then: decline, reason_code: BLOCKED, "
    "managed: true}\n"
)


@pytest.fixture
async def score(tmp_path):
    """Outcomes of payments by card and event time, with c1 listed until NOW_MS."""
    keeper = ListKeeper(ListFiles(tmp_path / "lists"), pytest.fail)
    keeper.open()
    keeper.take(base_records("blocked", 1, {"c1": NOW_MS}))
    policy = load_policy(TEXT, catalogue=CATALOGUE, name="p")
    in_force = InForce(policy.with_lists(keeper.current.lists))
    store = MemoryStore(CATALOGUE, lateness_ms=DAY_MS, dedupe_ms=8 * DAY_MS)
    telemetry = Counting()
    gateway = StoreGateway(store, telemetry, asyncio.get_running_loop().time)
    provisional = Provisional(gateway, MemorySpool(count_max=100), telemetry, 100)
    artifacts = Artifacts(CATALOGUE, Quiet(), in_force)
    scorer = Scorer(gateway, artifacts, provisional, telemetry, lambda: NOW_MS)

    async def scored(payments):
        made = [
            Transaction("shop", f"t{n}-{at_ms}", occurred_at_ms=at_ms, card=card,
                        amount_minor=100, currency="EUR")
            for n, (card, at_ms) in enumerate(payments)
        ]  # fmt: skip
        checks = [
            Check(transaction=t, payload_hash=payload_hash(t), received_at_ms=NOW_MS,
                  door=Door.GRPC)
            for t in made
        ]  # fmt: skip
        return [each.outcome for each in await scorer.score_many(checks)]

    scored.store = store
    yield scored
    await provisional.close()


async def test_an_entry_ends_at_its_millisecond_whatever_is_played_when(score):
    times = [NOW_MS + offset for offset in (-DAY_MS // 2, -2, -1, 0, 1, 2)]
    Random(7).shuffle(times)  # a replay of late payments
    found = await score([("c1", at_ms) for at_ms in times])
    expected = [Outcome.DECLINE if at < NOW_MS else Outcome.APPROVE for at in times]
    assert found == expected


async def test_without_the_store_lists_still_decide(score):
    score.store.unavailable = {"all"}
    found = await score([("c1", NOW_MS - 1), ("c1", NOW_MS)])
    assert found == [Outcome.DECLINE, Outcome.APPROVE]
