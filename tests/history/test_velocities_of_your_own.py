"""The guide's edits from end to end: warm, live, in a rule, trained on, and exact."""

import os
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from history_parts import Life, connected, rebuilt
from offline_parts import offline
from streams import PAID

from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import load_catalogue
from scoring.core.features.reference import Reference
from scoring.core.features.vector import vectorise
from scoring.training.build import Recipe
from scoring.training.fit import Boosting
from scoring.training.train import train_bundle
from scoring.v1 import decision_pb2

GUIDE = Path(__file__).parents[2] / "docs" / "guide-risk-team.md"
# 200,000 cells and more by SCORING_VELOCITY_PAYMENTS=25000
PAYMENTS = int(os.environ.get("SCORING_VELOCITY_PAYMENTS", "1200"))
RECIPE = Recipe(boosting=Boosting(rounds=5, depth_max=2), label_delay_ms=0)
RULES = {
    "busy_ip": "features.ip_count_10m > 3.0",
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
    """Payments in the order in which they come, some of them late or in one instant."""
    at_ms, made = PAID.occurred_at_ms, []
    for i in range(count):
        at_ms += rnd.choice((0, 1, 1_000, 20_000, 20_000, 300_000))
        who = rnd.randrange(max(count // 40, 8))
        made.append(
            replace(
                PAID,
                id=f"v{i}",
                occurred_at_ms=at_ms - rnd.choice((0,) * 19 + (3_600_000,)),
                amount_minor=rnd.choice((None, 100, 2_500, 30_000)),
                customer=f"u{who % 31}",
                ip=rnd.choice(("", f"10.0.0.{who % 200}")),
                email=rnd.choice(("", f"user{rnd.randrange(9)}.{who}@shop.test")),
                device=rnd.choice(("", f"d{who}")),
                payee_account=rnd.choice(("", f"payee-{who % 17}")),
            )
        )
    return made


def table_of(stream, rnd):
    names = ["id", "occurred_at_ms", "currency", "customer", "ip", "email", "device",
             "payee_account"]  # fmt: skip
    columns = {name: [getattr(t, name) for t in stream] for name in names}
    columns["amount_minor"] = pa.array([t.amount_minor for t in stream], pa.int64())
    columns["outcome"] = ["approve"] * len(stream)
    # What the definitions see of it: whether the address is known.
    columns["fraud"] = [rnd.random() < (0.02 if t.ip else 0.4) for t in stream]
    return pa.table(columns)


async def test_the_guides_edits_are_warm_live_in_rules_trained_on_and_exact(
    life, settings, archive, tmp_path
):
    catalogue, rnd = definitions(), random.Random(7)
    stream = payments(rnd, PAYMENTS)
    half = len(stream) // 2
    train_bundle(
        table_of(stream, random.Random(1)), catalogue, tmp_path / "m", recipe=RECIPE
    )
    # The live service runs the shipped file; the new one is warmed beside it.
    await life.pay(stream[:half], rnd)
    await rebuilt(settings, archive, catalogue=catalogue, marks=False)
    store = await connected(settings.redis_url, settings.namespace, catalogue)
    switched = Life(
        store, life.log, life.topics, tmp_path / "m", catalogue, policy=POLICY
    )
    await switched.pay(stream[half:], rnd)
    await switched.close()

    outcomes, vectors, hits = told(life, switched)
    compared, wrong = against_the_reference(catalogue, stream, outcomes, vectors)
    assert hits == RULES.keys()
    assert compared == half * len(catalogue.names)
    assert wrong == 0
    rows = offline(
        catalogue,
        stream,
        [],
        seq=list(range(1, len(stream) + 1)),
        outcomes=[outcomes[t.id].name.lower() for t in stream],
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


def against_the_reference(catalogue, stream, outcomes, vectors):
    engine, compared, wrong = Reference(catalogue), 0, 0
    for t in stream:
        if t.id in vectors:
            [expected] = vectorise(catalogue, [t], [engine.evaluate(t)])
            ours = vectors[t.id]
            same = (ours == expected) | (np.isnan(ours) & np.isnan(expected))
            compared, wrong = compared + same.size, wrong + int((~same).sum())
        engine.add(t)
        engine.settle(t, outcomes[t.id].name)
    return compared, wrong
