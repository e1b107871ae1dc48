"""A backtest of the archive has every hit and outcome as the service decided them.

`SCORING_REPLAYED_PAYMENTS=100000` compares so many; as long as each takes to decide.
"""

import os
import random
from collections import Counter
from dataclasses import replace

import pytest
from small_policy import SMALL
from streams import START_MS, transaction

from scoring import wire
from scoring.backtest.run import BacktestOptions, backtest, workbench
from scoring.backtest.side import Side
from scoring.backtest.source import ArchiveSource
from scoring.backtest.trial import Trial
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.history.topic_archiver import silent
from scoring.history.wiring import update_archive

COUNT = int(os.environ.get("SCORING_REPLAYED_PAYMENTS", "2000"))
OPTIONS = BacktestOptions(days=90, label_delay_days=0, memory_mb=512)
CATALOGUE = default_catalogue()
# Every kind of clause: lists, limits by segment, times, rollouts, shadow, the unknown.
POLICY = (
    SMALL.replace("challenge: 0.1", "challenge: 0.02")
    + """  HELD: A rule of the test held.
  UNSEEN: A rule of the test could not be asked.
limits:
  most_minor:
    default: 250
    segments: [{where: {merchant: m1}, limit: 100}]
lists:
  blocked:
    field: device
    then: decline
    reason_code: BLOCKED
    entries: [{token: d1, expires: '2020-09-13T20:00:00Z'}]
  watched: {entries: [{token: c3}, {token: c7}]}
rules:
  - {id: often, when: features.card_count_1h >= 4.0, then: decline, reason_code: HELD,
     on_missing: review, missing_reason_code: UNSEEN}
  - {id: summed, when: features.card_sum_1d > 5000.0, then: review, reason_code: HELD}
  - {id: limited, when: transaction.amount_minor > limits.most_minor, then: challenge,
     reason_code: HELD}
  - {id: partly, when: transaction.amount_minor >= 250, then: decline,
     reason_code: HELD, rollout: 0.3}
  - {id: watching, when: transaction.card in lists.watched, then: review, mode: shadow,
     reason_code: HELD}
  - {id: early, when: features.customer_count_1d < 3.0, then: challenge,
     expires: '2020-09-13T22:00:00Z', reason_code: HELD}
  - {id: scored, when: score > 0.05 && transaction.currency != 'EUR', then: review,
     reason_code: HELD}
  - {id: own, when: "has(transaction.attributes.plan) &&
     transaction.attributes.plan == 'gold' && !(features.device_count_1d > 2.0)",
     then: approve, priority: 9, reason_code: TRUSTED}
fallbacks:
  - {degradation: [history_unavailable, history_partial], then: score}
"""
)


def stream(count):
    """Payments of some hundred cards, seconds apart, some of them late."""
    rnd, at_ms = random.Random(18), START_MS
    for n in range(count):
        at_ms += rnd.choice((0, 1, 5_000, 60_000))
        late = rnd.choice((0,) * 9 + (600_000,))
        payment = transaction(rnd, f"t{n}", at_ms - late)
        card = payment.card and f"c{rnd.randrange(400)}"
        yield replace(payment, card=card, payment_id=f"p{rnd.randrange(count)}")


@pytest.mark.timeout(60 + COUNT // 20)
async def test_a_backtest_has_each_hit_and_outcome_as_the_service_decided_them(
    life, settings, archive
):
    policy = load_policy(POLICY, catalogue=CATALOGUE, name="policy.yaml")
    life.scorer.artifacts = replace(
        life.scorer.artifacts,
        in_force=replace(life.scorer.artifacts.in_force, policy=policy),
    )
    await life.pay(list(stream(COUNT)), random.Random(5))
    await update_archive(settings, archive, silent)
    source = ArchiveSource(archive, CATALOGUE)
    decided = by_service(archive)
    judged = by_backtest(source, policy)
    assert decided.keys() == judged.keys()
    assert len(decided) == COUNT
    assert {id_: told for id_, told in judged.items() if told != decided[id_]} == {}
    found = backtest(source, policy, policy, options=OPTIONS)
    assert (found.decided_by_old, found.differing) == (COUNT, 0)
    hits = Counter(
        rule
        for _, told in decided.values()
        for rule, _, _, unknown in told
        if not unknown
    )
    assert {line.rule: line.hits.count for line in found.rules} == dict(hits)
    outcomes = Counter(outcome for outcome, _ in decided.values())
    assert {o: part.count for o, part in found.new.outcomes.items()} == outcomes
    cells = COUNT * (len(policy.asks) + 1)
    print(f"{COUNT:,} payments replayed, {cells:,} cells, 0 differences: {dict(hits)}")


def by_service(archive):
    """What the service recorded of each payment: its outcome, and each hit."""
    found = {}
    with workbench(OPTIONS) as con:
        records = archive.records(con, "decisions", archive.files("decisions"))
        for id_, decision in con.execute(
            f"SELECT id, decision FROM ({records})"  # noqa: S608
        ).fetchall():
            core = wire.decision_from_bytes(decision).core
            found[id_] = (core.outcome, told(core.rule_hits))
    return found


def by_backtest(source, policy):
    """What the backtest's SQL makes of each row."""
    found = {}
    with workbench(OPTIONS) as con:
        span = source.span(con, OPTIONS.days, OPTIONS.label_delay_days)
        side, other = Side("new", policy), Side("old", policy)
        trial = Trial(con, CATALOGUE, other, side, span)
        for _ in source.chunks(con, span):
            rows = con.execute(
                f"SELECT id, {', '.join(side.keys)} FROM ({trial.query()})"  # noqa: S608
            ).fetchall()
            for id_, *key in rows:
                found[id_] = (side.decided(key)[0], told(side.hits(tuple(key))))
    return found


def told(hits):
    return {(hit.rule, hit.outcome, hit.mode, hit.unknown) for hit in hits}
