"""The guide's edits from end to end: warm, live, in a rule, trained on, and exact."""

import os
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from history_parts import Life, connected, rebuilt
from lifecycle_parts import events_table
from offline_parts import offline
from streams import PAID

from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import load_catalogue
from scoring.core.features.reference import Reference
from scoring.core.features.vector import vectorise
from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.ports.follow_ups import TransactionEvent
from scoring.training.build import Recipe, train_on
from scoring.training.dataset import Dataset
from scoring.training.fit import Boosting
from scoring.v1 import decision_pb2

GUIDE = Path(__file__).parents[2] / "docs" / "guide-risk-team.md"
# 200,000 cells by SCORING_VELOCITY_PAYMENTS=8000 SCORING_DRILL_SEEDS=5
SEEDS = range(int(os.environ.get("SCORING_DRILL_SEEDS", "1")))
PAYMENTS = int(os.environ.get("SCORING_VELOCITY_PAYMENTS", "1200"))
GROUP = 2  # payments until the issuer has spoken
RECIPE = Recipe(boosting=Boosting(rounds=5, depth_max=2), label_delay_ms=0)
RULES = {
    "busy_ip": "features.ip_count_10m > 3.0",
    "issuer_says_no": "features.card_issuer_declines_10m > 1.0",
    "many_emails": "features.device_emails_1d > 4.0",
    "much_sent": "features.payee_sum_24h > 400000.0",
    "declined_before": "features.customer_declined_24h > 50000.0",
}
POLICY = """
version: 1
name: velocities
thresholds: {default: {challenge: 0.1, review: 0.2, decline: 0.9}}
default: {outcome: review, reason_code: NOT_SCORED}
reasons:
  NOT_SCORED: The payment could not be scored.
  NO_RISK_FOUND: Nothing unusual was found.
  BUSY: Too much is happening at once.
approved: NO_RISK_FOUND
rules:
""" + "".join(
    f"  - {{id: {id_}, when: {when}, then: decline, reason_code: BUSY}}\n"
    for id_, when in RULES.items()
)


def definitions():
    """What the guide has a person write."""
    text = re.search(
        r"file: velocities.yaml -->\n```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL
    )[1]
    return load_catalogue(text, name="velocities.yaml")


def payments(rnd, count):
    """Payments in the order in which they come, some of them late or in one instant.

    No card, customer or payee has more than the store keeps one by one.
    """
    at_ms, made, more = PAID.occurred_at_ms, [], max(count // 1200, 1)
    for i in range(count):
        at_ms += rnd.choice((0, 1, 1_000, 20_000, 20_000, 300_000))
        who = rnd.randrange(max(count // 40, 8))
        made.append(
            replace(
                PAID,
                id=f"v{i}",
                occurred_at_ms=at_ms - rnd.choice((0,) * 19 + (3_600_000,)),
                amount_minor=rnd.choice((None, 100, 2_500, 30_000)),
                card=f"c{who % (3 * more)}",
                customer=f"u{who % (31 * more)}",
                ip=rnd.choice(("", f"10.0.0.{who % 200}")),
                email=rnd.choice(("", f"user{rnd.randrange(9)}.{who}@shop.test")),
                device=rnd.choice(("", f"d{who}")),
                payee_account=rnd.choice(("", f"payee-{who % (17 * more)}")),
            )
        )
    return made


def train(stream, catalogue, out):
    told = [TransactionEvent(t, declined_at(t, t.occurred_at_ms)) for t in stream[::3]]
    rows = offline(
        catalogue,
        stream,
        [],
        outcomes=["approve"] * len(stream),
        events=events_table(told),
    )
    by_id, rnd = {t.id: t for t in stream}, random.Random(1)
    paid = [by_id[id_] for id_ in rows.ids]
    dataset = Dataset(
        names=catalogue.names,
        matrix=rows.matrix,
        # What the definitions see of it: whether the address is known.
        fraud=np.array([rnd.random() < (0.02 if t.ip else 0.4) for t in paid]),
        occurred_at_ms=rows.occurred_at_ms,
        customers=np.array([int(t.customer[1:]) for t in paid]),
        amount_minor=np.array([t.amount_minor or 0 for t in paid]),
    )
    train_on(dataset, out, catalogue=catalogue, recipe=RECIPE)


async def lived(one, stream, rnd, newest_ms):
    """Pay, and report what the issuer said a moment later; the events told."""
    told = []
    for i in range(0, len(stream), GROUP):
        group = stream[i : i + GROUP]
        await one.pay(group, rnd)
        newest_ms = max(newest_ms, *(t.occurred_at_ms for t in group))
        declined = [
            TransactionEvent(t, declined_at(t, newest_ms + 1))
            for t in group
            if rnd.random() < 0.6
        ]
        await one.report(declined, bare=bool(i % 2))
        told.append((group, declined))
    return told, newest_ms


def declined_at(t, known_at_ms):
    return LifecycleEvent(
        t.tenant, t.id, "said", LifecycleKind.ISSUER_DECLINED, t.occurred_at_ms,
        known_at_ms=known_at_ms,
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_guides_edits_are_warm_live_in_rules_trained_on_and_exact(
    seed, life, settings, archive, tmp_path
):
    catalogue, rnd = definitions(), random.Random(7 + seed)
    stream = payments(rnd, PAYMENTS)
    half = len(stream) // 2
    train(stream, catalogue, tmp_path / "m")
    # The live service runs the shipped file; the new one is warmed beside it.
    before, newest_ms = await lived(life, stream[:half], rnd, 0)
    await rebuilt(settings, archive, catalogue=catalogue, marks=False)
    store = await connected(settings.redis_url, settings.namespace, catalogue)
    switched = Life(
        store, life.log, life.topics, tmp_path / "m", catalogue, policy=POLICY
    )
    after, _ = await lived(switched, stream[half:], rnd, newest_ms)
    await switched.close()

    outcomes, vectors, hits = told(life, switched)
    compared, wrong = against_the_reference(
        catalogue, [*before, *after], outcomes, vectors
    )
    assert hits == RULES.keys()
    assert compared == half * len(catalogue.names)
    assert wrong == 0
    rows = offline(
        catalogue,
        stream,
        [],
        seq=list(range(1, len(stream) + 1)),
        outcomes=[outcomes[t.id].name.lower() for t in stream],
        events=events_table([e for _, own in (*before, *after) for e in own]),
    )
    place = {id_: i for i, id_ in enumerate(rows.ids)}
    theirs = np.array([rows.matrix[place[id_]] for id_ in vectors])
    ours = np.array(list(vectors.values()))
    assert np.array_equal(ours, theirs, equal_nan=True)
    print(f"{compared + theirs.size:,} cells compared, {wrong} wrong")


def told(*lives):
    """Outcomes by id; of the last life also the vectors, and which rules held."""
    outcomes, vectors, hits = {}, {}, set()
    for one in lives:
        vectors, hits = {}, set()
        for id_, decision in one.decided.items():
            core = decision_pb2.Decision.FromString(decision).core
            outcomes[id_] = Outcome(core.outcome)
            vectors[id_] = np.array(core.features, np.float32)
            hits |= {hit.rule for hit in core.rule_hits}
    return outcomes, vectors, hits


def against_the_reference(catalogue, told, outcomes, vectors):
    engine, compared, wrong = Reference(catalogue), 0, 0
    for group, declined in told:
        for t in group:
            if t.id in vectors:
                [expected] = vectorise(catalogue, [t], [engine.evaluate(t)])
                ours = vectors[t.id]
                same = (ours == expected) | (np.isnan(ours) & np.isnan(expected))
                compared, wrong = compared + same.size, wrong + int((~same).sum())
            engine.add(t)
            engine.settle(t, outcomes[t.id].name)
        for one in declined:
            engine.happen(one.transaction, one.event)
    return compared, wrong
