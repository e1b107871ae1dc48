"""The breaker: what is too much, what is counted, and what is held back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_policy import SMALL

from scoring.core.decision.decision import (
    Degradation,
    DegradationCode,
    Outcome,
    RuleMode,
)
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.breaker import WHOLE, Guard, declining, excess, guards_of
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import load_policy
from scoring.core.policy.restraint import restrained
from scoring.core.transaction.transaction import Transaction

CATALOGUE = default_catalogue()
TEXT = (
    SMALL
    + """
lists:
  blocked: {field: card, then: decline, reason_code: BLOCKED, entries: [{token: c9}]}
rules:
  - id: large
    when: transaction.amount_minor > 1000
    then: decline
    reason_code: TOO_LARGE
  - id: huge
    when: transaction.amount_minor > 2000
    then: decline
    reason_code: TOO_LARGE
    breaker: {then: review, declines_min: 20, times: 2, expected: 0.002}
  - id: careful
    when: features.device_cards_1d > 3.0
    then: review
    on_missing: decline
    missing_reason_code: TOO_LARGE
    reason_code: TOO_LARGE
  - {id: odd, when: transaction.amount_minor > 3, then: review, reason_code: TOO_LARGE}
  - id: unguarded
    when: transaction.amount_minor > 4000
    then: decline
    reason_code: TOO_LARGE
    breaker: {off: true}
fallbacks:
  - {degradation: model_unavailable, then: decline, reason_code: NOT_SCORED}
"""
)
POLICY = load_policy(TEXT, catalogue=CATALOGUE, name="p")
KNOWN = np.zeros(len(CATALOGUE.names), np.float32)
GUARD = Guard(rule="r", key="r", declines_min=50, times=3.0, expected=0.01)


def decided(policy, amount: int, score: float | None = 0.01, **fields):
    t = Transaction("shop", "t1", amount_minor=amount, currency="EUR", **fields)
    missing = (Degradation(DegradationCode.MODEL_UNAVAILABLE),) if score is None else ()
    evidence = Evidence(vector=KNOWN, probability=score, degradations=missing)
    return decide(t, b"h", policy=policy, evidence=evidence)


def test_rules_that_decline_are_watched_each_by_its_own_settings():
    guards = guards_of(POLICY.file)
    assert set(guards) == {"large", "huge", "careful", WHOLE}
    assert (guards["large"].declines_min, guards["large"].times) == (50, 3.0)
    huge = guards["huge"]
    assert (huge.declines_min, huge.times, huge.expected) == (20, 2.0, 0.002)
    assert huge.then == "review"
    assert guards[WHOLE].then == "review"


def test_a_rewritten_rule_has_no_history_and_a_renumbered_one_keeps_it():
    before = guards_of(POLICY.file)["large"].key
    rewritten = TEXT.replace("amount_minor > 1000", "amount_minor > 1001")
    other = load_policy(rewritten, catalogue=CATALOGUE, name="p")
    assert guards_of(other.file)["large"].key != before
    raised = TEXT.replace("- id: large\n", "- id: large\n    priority: 5\n")
    other = load_policy(raised, catalogue=CATALOGUE, name="p")
    assert guards_of(other.file)["large"].key == before


def test_off_watches_nothing():
    text = TEXT + "breaker: {off: true}\n"
    assert not load_policy(text, catalogue=CATALOGUE, name="p").guards


@pytest.mark.parametrize(
    ("amount", "score", "card", "counted"),
    [
        (500, 0.01, "", []),  # approved
        (1_500, 0.01, "", ["large", WHOLE]),
        (2_500, 0.01, "", ["large", "huge", WHOLE]),
        (5_000, 0.01, "", ["large", "huge", WHOLE]),  # one is not watched
        (500, 0.9, "", [WHOLE]),  # by score
        (500, None, "", [WHOLE]),  # by fallback
        (500, 0.9, "c9", []),  # by a list, which is never stopped
        (1_500, 0.01, "c9", ["large"]),
    ],
)
def test_counted_are_the_rules_behind_a_decline(amount, score, card, counted):
    assert declining(decided(POLICY, amount, score, card=card), POLICY.guards) == (
        counted
    )


def test_an_unknown_rule_is_counted_where_it_declines_for_that():
    t = Transaction("shop", "t1", amount_minor=1_500, currency="EUR")
    core = decide(t, b"h", policy=POLICY, evidence=Evidence(vector=None))
    assert declining(core, POLICY.guards) == ["large", "careful", WHOLE]


@given(st.floats(0.0001, 0.9), st.integers(0, 1_000))
def test_a_rule_that_declines_everything_trips_by_its_fiftieth_decline(usual, before):
    window = [(50, 50), (before, 0)]
    found = excess(window, usual, GUARD)
    assert found is not None
    assert (found.declines, found.decisions) == (50, 50)


def test_fewer_declines_than_the_least_never_trip_and_old_buckets_do_not_count():
    assert excess([(49, 49)], 0.01, GUARD) is None
    assert excess([(7, 0)] * 30 + [(1_000, 1_000)], 0.01, GUARD) is None
    assert excess([(0, 0)] * 360 + [(1_000, 1_000)], 0.01, GUARD) is None


def test_where_few_pay_the_newest_payments_are_looked_at_up_to_an_hour_back():
    once_a_minute = [(1, 1), *[(0, 0)] * 5] * 60
    found = excess(once_a_minute, 0.01, GUARD)
    assert found is not None
    assert found.declines == 50
    # 200 payments that were not declined since: it was another time.
    assert excess([(4, 0)] * 50 + once_a_minute, 0.01, GUARD) is None
    tenth = replace(GUARD, share=0.1)  # of which it acts on 20
    assert excess([(4, 0)] * 50 + once_a_minute, 0.01, tenth) is not None


def test_the_usual_share_never_trips():
    rng = np.random.default_rng(7)
    for usual in (0.002, 0.01, 0.05, 0.3, 0.8):
        decisions = rng.poisson(2_000, 20_000)
        declines = rng.binomial(decisions, usual)
        pairs = list(zip(decisions.tolist(), declines.tolist(), strict=True))
        window = [pairs[i : i + 30] for i in range(len(pairs) - 30)]
        assert all(excess(w, usual, GUARD) is None for w in window)


def test_what_was_before_does_not_hide_what_is_now():
    window = [(5_400, 400), *[(5_000, 10)] * 29]
    assert excess(window, 0.002, GUARD) is not None


def test_a_rollout_is_measured_on_its_share():
    tenth = replace(GUARD, share=0.1)
    assert excess([(10_000, 25)] * 30, 0.01, tenth) is None
    assert excess([(10_000, 60)] * 30, 0.01, GUARD) is None
    assert excess([(1_000, 60)] * 30, 0.01, tenth) is not None


def test_below_its_least_share_a_rule_is_never_stopped():
    assert excess([(1_000, 60)], 0.001, GUARD) is not None
    assert excess([(1_000, 60)], 0.001, replace(GUARD, share_min=0.1)) is None


def test_history_speaks_once_there_is_some_and_the_backtest_until_then():
    backtested = replace(GUARD, expected=0.2)
    assert backtested.usual(0, 0) == pytest.approx(0.2)
    assert backtested.usual(1_000_000, 1_000) == pytest.approx(0.001, rel=0.25)


def test_a_tripped_rule_is_shadow_and_the_others_stay():
    held = restrained(POLICY, {"large"})
    core = decided(held, 1_500)
    assert core.outcome is Outcome.REVIEW  # of the rule `odd`
    assert next((h.rule, h.mode) for h in core.rule_hits) == ("large", RuleMode.SHADOW)
    assert decided(held, 2_500).outcome is Outcome.DECLINE
    assert decided(held, 500, card="c9").outcome is Outcome.DECLINE


def test_a_tripped_rule_asks_for_review_where_its_policy_says_so():
    core = decided(restrained(POLICY, {"large", "huge"}), 2_500)
    assert core.outcome is Outcome.REVIEW
    modes = {h.rule: (h.mode, h.outcome) for h in core.rule_hits}
    assert modes["huge"] == (RuleMode.ENFORCE, Outcome.REVIEW)


def test_a_tripped_policy_reviews_what_it_would_decline_but_for_lists():
    held = restrained(POLICY, {WHOLE})
    for amount, score in ((500, 0.9), (5_000, 0.9), (500, None)):
        assert decided(POLICY, amount, score).outcome is Outcome.DECLINE
        assert decided(held, amount, score).outcome is Outcome.REVIEW
    assert decided(held, 500, 0.9, card="c9").outcome is Outcome.DECLINE
    assert decided(held, 2, 0.15).outcome is Outcome.CHALLENGE
    assert decided(held, 2, 0.01).outcome is Outcome.APPROVE


def test_what_is_not_watched_cannot_trip():
    assert restrained(POLICY, {"unguarded", "odd", "lists.blocked", "gone"}) is POLICY
