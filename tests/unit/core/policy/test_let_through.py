"""The let-through sample: which would-be declines, and what their decision says."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from small_policy import LARGE

from scoring.core.decision.decision import (
    Degradation,
    DegradationCode,
    Outcome,
    ReasonSource,
)
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import load_policy
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact

CATALOGUE = default_catalogue()
SAMPLE = """
let_through: {share: 0.02, amount_minor_max: 10000, budget_minor_per_day: 50000}
"""
TEXT = (
    LARGE
    + """fallbacks:
  - {degradation: model_unavailable, then: decline, reason_code: NOT_SCORED}
"""
)
POLICY = load_policy(TEXT + SAMPLE, catalogue=CATALOGUE, name="p")


def decided(amount: int = 5_000, *, score: float | None = 0.01, **more):
    fields = {"currency": "EUR", **more.pop("fields", {})}
    t = Transaction("shop", "t1", amount_minor=amount, **fields)
    core = decide(t, b"h", policy=POLICY, evidence=Evidence(
        vector=np.zeros(len(CATALOGUE.names), np.float32), probability=score, **more
    ))  # fmt: skip
    return core, t


def missing(code: DegradationCode) -> dict[str, object]:
    return {"degradations": (Degradation(code),)}


@pytest.mark.parametrize(
    ("why", "amount", "more", "cost"),
    [
        ("a rule declines", 5_000, {}, 5_000),
        ("the score declines", 500, {"score": 0.9}, 500),
        ("it is no decline", 500, {}, None),
        ("a list declines", 5_000, {"fields": {"card": "c9"}}, None),
        ("above the amount", 10_001, {}, None),
        ("at the amount", 10_000, {}, 10_000),
        ("no amount is known", 5_000, {"fields": {"currency": "XXX"}}, None),
        ("it will be decided again", 5_000, {"provisional": True}, None),
        (
            "a fallback declines",
            500,
            {"score": None, **missing(DegradationCode.MODEL_UNAVAILABLE)},
            None,
        ),
        ("it came too late", 5_000, missing(DegradationCode.TOO_LATE), None),
    ],
)
def test_only_declines_by_score_or_rule_within_the_amount_may(why, amount, more, cost):
    assert why
    assert POLICY.sample is not None
    assert POLICY.sample.costs(*decided(amount, **more)) == cost


def test_what_is_let_through_is_approved_flagged_and_says_what_it_was():
    assert POLICY.sample is not None
    core, _ = decided()
    found = POLICY.sample.approved(core)
    assert (found.outcome, found.let_through) == (Outcome.APPROVE, 0.02)
    assert [r.code for r in found.reasons] == ["LET_THROUGH", "TOO_LARGE"]
    assert found.reasons[0].source is ReasonSource.SAMPLE
    assert found.rule_hits == core.rule_hits
    assert core.let_through is None


def test_chance_takes_the_share_and_every_attempt_alike():
    sample = POLICY.sample
    assert sample is not None
    n = 100_000
    chosen = sum(sample.chooses(Transaction("shop", f"t{i}")) for i in range(n))
    assert abs(chosen - n * 0.02) < 5 * sqrt(n * 0.02 * 0.98)
    for i in range(200):
        attempts = [Transaction("s", f"{i}/{a}", payment_id=f"p{i}") for a in (1, 2)]
        assert len({sample.chooses(t) for t in attempts}) == 1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (SAMPLE.replace("0.02", "0"), "let_through.share"),
        (SAMPLE.replace("0.02", "0.6"), "let_through.share"),
        (SAMPLE.replace("50000", "9999"), "budget_minor_per_day is below"),
        (SAMPLE.replace("amount_minor_max: 10000,", ""), "amount_minor_max"),
        (SAMPLE.replace("}", ", reason_code: UNSAID}"), "no wording for UNSAID"),
    ],
)
def test_a_sample_without_bounds_is_refused_with_its_field(written, said):
    with pytest.raises(BadArtifact, match=said):
        load_policy(TEXT + written, catalogue=CATALOGUE, name="p")
