"""Rollouts: which payments a share holds, and what a rule does for the others."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from small_policy import SMALL

from scoring.core.decision.decision import Outcome, RuleMode
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import load_policy
from scoring.core.policy.rollout import point_of
from scoring.core.transaction.transaction import Transaction

CATALOGUE = default_catalogue()
PAYMENTS = 20_000
RULE = """
rules:
  - id: large
    when: transaction.amount_minor > 1000
    then: decline
    reason_code: TOO_LARGE
"""
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
shares = st.floats(0, 1)


def points(salt: str) -> np.ndarray:
    return np.array(
        [point_of(Transaction("shop", f"t{i}"), salt) for i in range(PAYMENTS)]
    )


def decided(policy_text: str, t: Transaction):
    policy = load_policy(policy_text, catalogue=CATALOGUE, name="p")
    return decide(t, b"h", policy=policy, evidence=Evidence(vector=None))


@given(texts, texts, texts, texts, texts)
def test_every_attempt_of_a_payment_lies_at_one_point(salt, tenant, payment, one, two):
    first = Transaction(tenant, one, payment_id=payment, attempt=1)
    second = Transaction(tenant, two, payment_id=payment, attempt=2, amount_minor=7)
    assert point_of(first, salt) == point_of(second, salt)
    assert 0 <= point_of(first, salt) < 1


def test_points_are_spread_evenly():
    found = np.sort(points("rule/large"))
    even = (np.arange(PAYMENTS) + 0.5) / PAYMENTS
    # Kolmogorov's bound: a fair spread exceeds it once in a million.
    assert np.abs(found - even).max() < 2.7 / sqrt(PAYMENTS)


def test_each_rule_and_version_has_an_order_of_its_own():
    salts = ("rule/large", "rule/largest", "version/ab12", "let_through")
    correlations = np.corrcoef([points(salt) for salt in salts])
    np.fill_diagonal(correlations, 0)
    assert np.abs(correlations).max() < 5 / sqrt(PAYMENTS)


@given(st.lists(shares, min_size=2, max_size=2).map(sorted), st.integers(0, 10**9))
def test_raising_a_share_never_lets_a_payment_out(pair, number):
    low, high = pair
    at = point_of(Transaction("shop", f"t{number}"), "rule/large")
    assert not at < low or at < high


def test_a_rule_is_shadow_for_the_payments_outside_its_share():
    text = SMALL + RULE + "    rollout: 0.25\n"
    rest = load_policy(text, catalogue=CATALOGUE, name="p")
    modes = []
    for i in range(1_000):
        t = Transaction("shop", f"t{i}", amount_minor=5_000)
        core = decide(t, b"h", policy=rest, evidence=Evidence(vector=None))
        (hit,) = core.rule_hits
        inside = point_of(t, "rule/large") < 0.25
        assert hit.mode is (RuleMode.ENFORCE if inside else RuleMode.SHADOW)
        assert core.outcome is (Outcome.DECLINE if inside else Outcome.REVIEW)
        modes.append(inside)
    assert 0.2 < np.mean(modes) < 0.3


def test_a_whole_share_is_no_rollout_and_none_written_keeps_the_version():
    t = Transaction("shop", "t1", amount_minor=5_000)
    plain = decided(SMALL + RULE, t)
    assert replace(decided(SMALL + RULE + "    rollout: 1.0\n", t),
                   versions=plain.versions) == plain  # fmt: skip
    before = load_policy(SMALL + RULE, catalogue=CATALOGUE, name="p")
    assert "rollout" not in before.file.rules[0].model_dump()
    assert {"breaker", "let_through"}.isdisjoint(before.file.model_dump())
