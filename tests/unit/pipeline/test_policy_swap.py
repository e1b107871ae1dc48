"""Another policy comes into force between two batches; those in shadow only watch."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from release_parts import CATALOGUE, policy_text
from streams import DAY_MS, PAID, check

from scoring import wire
from scoring.core.decision.decision import Door, Outcome
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import load_policy
from scoring.models.onnx_model import load_model
from scoring.pipeline.batch import Artifacts
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.patience import StorePatience
from scoring.stores.memory.store import MemoryStore
from scoring.stores.spool import MemorySpool
from scoring.telemetry.prometheus import SilentTelemetry


def policy(number, text=None):
    text = policy_text(number).text if text is None else text
    return load_policy(text, catalogue=CATALOGUE, name="policy")


FIRST, SECOND = policy(1), policy(2)
BLOCKING = policy(
    3,
    policy_text(3).text.replace(
        "\nrules:\n",
        "\nrules:\n  - {id: everything, when: 'transaction.amount_minor >= 1',"
        " then: decline, reason_code: CARD_VELOCITY_LIMIT}\n",
        1,
    ),
)


@pytest.fixture
async def scorer(model_dir):
    store, telemetry = (
        MemoryStore(CATALOGUE, lateness_ms=DAY_MS, dedupe_ms=DAY_MS),
        SilentTelemetry(),
    )
    gateway = StoreGateway(
        store,
        telemetry,
        asyncio.get_running_loop().time,
        patience=StorePatience.WAIT,
    )
    provisional = Provisional(gateway, MemorySpool(count_max=10), telemetry, 10)
    model = load_model(model_dir, catalogue=CATALOGUE)
    artifacts = Artifacts(CATALOGUE, model, InForce(FIRST))
    yield Scorer(gateway, artifacts, provisional, telemetry, lambda: NOW_MS)
    await provisional.close()


NOW_MS = PAID.occurred_at_ms


def swap(scorer, **changed):
    in_force = replace(scorer.artifacts.in_force, **changed)
    scorer.artifacts = replace(scorer.artifacts, in_force=in_force)


def payments(start, count):
    return [check(replace(PAID, id=f"t{i}")) for i in range(start, start + count)]


def cores_of(answers):
    return [wire.decision_from_bytes(answer.decision).core for answer in answers]


async def test_every_decision_of_a_batch_names_one_policy_and_one_revision(scorer):
    """Swapped a hundred times while batches are under way, each within itself whole."""
    batches, asked = [], 0
    for number in range(100):
        batches.append(asyncio.ensure_future(scorer.score_many(payments(asked, 5))))
        asked += 5
        await asyncio.sleep(0)
        swap(scorer, policy=(FIRST, SECOND)[number % 2], lists_revision=number)
    for answers in await asyncio.gather(*batches):
        versions = {
            (v.policy, v.lists) for v in (c.versions for c in cores_of(answers))
        }
        assert len(versions) == 1


async def test_a_candidate_decides_its_share_and_is_named(scorer):
    swap(scorer, candidate=SECOND, share=0.5)
    cores = cores_of(await scorer.score_many(payments(0, 100)))
    by = [core.versions.policy for core in cores]
    assert {FIRST.version, SECOND.version} == set(by)
    expected = [
        scorer.artifacts.in_force.of(one.transaction).version
        for one in payments(0, 100)
    ]
    assert by == expected


async def test_a_policy_in_shadow_is_told_on_the_topic_and_changes_nothing(scorer):
    (plain,) = await scorer.score_many([check(replace(PAID, id="plain"))])
    swap(scorer, shadows=(BLOCKING, SECOND))
    record = replace(check(replace(PAID, id="one")), position="t/0@1", door=Door.KAFKA)
    (one,) = await scorer.score_many([record])
    logged = wire.decision_from_bytes(one.logged)
    assert [s.policy for s in logged.shadows] == [BLOCKING.version, SECOND.version]
    assert [s.outcome for s in logged.shadows] == [Outcome.DECLINE, one.outcome]
    assert "everything" in {hit.rule for hit in logged.shadows[0].rule_hits}
    assert one.outcome == plain.outcome
    assert logged.core.versions.policy == FIRST.version
    # What is recorded and answered says nothing of it.
    assert not wire.decision_from_bytes(one.decision).shadows
    assert wire.decision_part(one.logged) == one.decision
