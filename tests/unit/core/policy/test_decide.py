"""Deciding: authority, what is missing, reasons, and when a limit clears."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.decision.decision import (
    DecisionCore,
    Degradation,
    DegradationCode,
    Outcome,
    ReasonSource,
    Rung,
)
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, clears_at, decide
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.shipped_policy import default_policy
from scoring.core.transaction.transaction import Transaction

CATALOGUE = default_catalogue()
SHIPPED = default_policy(CATALOGUE)
GROUPS = ("AMOUNT_UNUSUAL", "CARD_VELOCITY", "NEW_DEVICE", "TIME_UNUSUAL", "OTHER")
POLICY = """
version: 1
name: test
thresholds: {default: {challenge: 0.1, review: 0.2, decline: 0.5}}
limits: {per_hour: {default: 5}}
rules:
  - id: often
    when: features.card_count_1h > limits.per_hour
    then: challenge
    reason_code: OFTEN
  - id: dear
    when: transaction.amount_minor > 100000
    then: review
    reason_code: DEAR
  - id: trusted
    when: transaction.customer == "trusted"
    then: approve
    priority: 10
    reason_code: TRUSTED
  - id: cautious
    when: features.device_cards_1d > 3.0
    then: decline
    reason_code: CARDS
    on_missing: challenge
    missing_reason_code: CARDS_UNKNOWN
fallbacks:
  - {degradation: history_unavailable, where: {amount_minor_below: 5000}, then: score}
  - {degradation: history_unavailable, then: challenge, reason_code: NO_HISTORY}
  - {degradation: model_unavailable, where: {merchant: kiosk}, then: approve,
     reason_code: SMALL}
default: {outcome: review, reason_code: NOT_SCORED}
reasons:
  OFTEN: The card was used too often.
  DEAR: The amount is large.
  TRUSTED: The customer is trusted.
  CARDS: Too many cards were used.
  CARDS_UNKNOWN: The number of cards is not known.
  NO_HISTORY: The history was not at hand.
  SMALL: It was too small to matter.
  NOT_SCORED: It could not be scored.
  NO_RISK_FOUND: Nothing unusual was found.
"""
NO_HISTORY = Degradation(DegradationCode.HISTORY_UNAVAILABLE, "store")
NO_MODEL = Degradation(DegradationCode.MODEL_UNAVAILABLE, "model")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(POLICY, catalogue=CATALOGUE, name="policy.yaml")


def vector(**values: float) -> np.ndarray:
    filled = {"card_count_1h": 1.0, "device_cards_1d": 1.0} | values
    row = np.full(len(CATALOGUE.names), 0.0, dtype=np.float32)
    for name, value in filled.items():
        row[CATALOGUE.names.index(name)] = value
    return row


def only(**known: float) -> np.ndarray:
    """A vector of which nothing else is known."""
    row = np.full(len(CATALOGUE.names), nan, dtype=np.float32)
    for name, value in known.items():
        row[CATALOGUE.names.index(name)] = value
    return row


def payment(**fields: object) -> Transaction:
    given_ = {"occurred_at_ms": 1_700_000_000_000, "amount_minor": 10_000}
    return Transaction("default", "t1", currency="EUR", **(given_ | fields))


def seen(score: float | None = 0.01, **rest: object) -> Evidence:
    row = rest.pop("vector", None)
    return Evidence(
        vector=vector() if row is None else row,
        probability=score,
        margin=None if score is None else -3.0,
        **rest,
    )


def run(policy: Policy, evidence: Evidence, **fields: object) -> DecisionCore:
    return decide(payment(**fields), b"hash", policy=policy, evidence=evidence)


def codes(core: DecisionCore) -> list[str]:
    return [reason.code for reason in core.reasons]


def test_a_rule_makes_the_outcome_stricter_and_never_milder(policy: Policy) -> None:
    often = vector(card_count_1h=6)
    assert run(policy, seen(vector=often)).outcome == Outcome.CHALLENGE
    assert run(policy, seen(0.9, vector=often)).outcome == Outcome.DECLINE


def test_within_a_priority_the_strictest_rule_decides(policy: Policy) -> None:
    core = run(policy, seen(vector=vector(card_count_1h=6)), amount_minor=200_000)
    assert core.outcome == Outcome.REVIEW
    assert codes(core) == ["DEAR", "OFTEN"]


def test_a_higher_priority_overrules_and_its_approval_is_final(policy: Policy) -> None:
    core = run(policy, seen(0.99, vector=vector(card_count_1h=6)), customer="trusted")
    assert core.outcome == Outcome.APPROVE
    assert codes(core) == ["TRUSTED"]
    assert [hit.rule for hit in core.rule_hits] == ["often", "trusted"]


def test_a_missing_feature_is_unknown_and_on_missing_says_what_then(
    policy: Policy,
) -> None:
    core = run(policy, seen(vector=vector(card_count_1h=nan, device_cards_1d=nan)))
    assert core.outcome == Outcome.CHALLENGE
    assert [(h.rule, h.unknown, h.outcome.name) for h in core.rule_hits] == [
        ("often", True, "CHALLENGE"),
        ("trusted", True, "APPROVE"),
        ("cautious", True, "CHALLENGE"),
    ]
    assert codes(core) == ["CARDS_UNKNOWN"]
    assert core.reasons[0].velocity is None


def test_a_velocity_reason_tells_what_was_observed_and_the_limit(
    policy: Policy,
) -> None:
    core = run(policy, seen(vector=vector(card_count_1h=6), inexact=("card_count_1h",)))
    velocity = core.reasons[0].velocity
    assert velocity is not None
    assert (velocity.feature, velocity.observed, velocity.limit) == (
        "card_count_1h",
        6.0,
        5.0,
    )
    assert not velocity.exact


def test_reasons_of_the_model_are_the_groups_that_raised_the_score_most(
    policy: Policy,
) -> None:
    evidence = seen(
        0.3,
        vector=only(card_count_1h=4, card_count_7d=9, device_cards_1d=1, is_night=1),
        contributions=np.array([0.1, 2.0, -9.0, 0.5, 0.2], dtype=np.float32),
        reason_groups=GROUPS,
    )
    core = run(policy, evidence)
    assert codes(core) == ["CARD_VELOCITY", "TIME_UNUSUAL", "OTHER"]
    assert [round(r.contribution, 6) for r in core.reasons] == [2.0, 0.5, 0.2]


@pytest.mark.parametrize("count", [nan, 0.0, 3.0])
def test_a_group_that_raised_the_score_unsupported_has_its_neutral_reason(
    policy: Policy, count: float
) -> None:
    evidence = seen(
        0.3,
        vector=only(card_count_1h=count, device_cards_1d=1, is_night=1),
        contributions=np.array([-1.0, 2.0, -9.0, 0.5, -1.0], dtype=np.float32),
        reason_groups=GROUPS,
    )
    assert codes(run(policy, evidence)) == ["CARD_ACTIVITY", "TIME_UNUSUAL"]


def test_a_supported_reason_follows_where_all_before_it_are_neutral(
    policy: Policy,
) -> None:
    groups = tuple(policy.reasons.groups)
    night = groups.index("TIME_UNUSUAL")
    contributions = np.ones(len(groups), dtype=np.float32)
    contributions[night] = 0.001
    evidence = seen(
        0.3,
        vector=only(device_cards_1d=1, is_night=1),
        contributions=contributions,
        reason_groups=groups,
    )
    found = run(policy, evidence).reasons
    assert [r.code for r in found][-1] == "TIME_UNUSUAL"
    assert len(found) == policy.model_reasons_max + 1


def test_a_refusal_for_which_no_group_speaks_is_not_called_harmless(
    policy: Policy,
) -> None:
    evidence = seen(
        0.9, contributions=np.full(5, -0.5, dtype=np.float32), reason_groups=GROUPS
    )
    core = run(policy, evidence)
    assert core.outcome == Outcome.DECLINE
    assert codes(core) == ["RISK_SCORE"]


def test_an_approval_that_nothing_speaks_against_says_so(policy: Policy) -> None:
    evidence = seen(
        contributions=np.full(5, -0.5, dtype=np.float32), reason_groups=GROUPS
    )
    assert codes(run(policy, evidence)) == ["NO_RISK_FOUND"]


def test_without_history_the_amount_decides_between_challenge_and_score(
    policy: Policy,
) -> None:
    evidence = seen(vector=vector(), degradations=(NO_HISTORY,))
    assert run(policy, evidence, amount_minor=4_999).outcome == Outcome.APPROVE
    core = run(policy, evidence, amount_minor=5_000)
    assert core.outcome == Outcome.CHALLENGE
    assert core.reasons[0].code == "NO_HISTORY"
    assert core.reasons[0].source == ReasonSource.FALLBACK


def test_a_fallback_never_makes_a_high_score_milder(policy: Policy) -> None:
    evidence = seen(0.9, vector=vector(), degradations=(NO_HISTORY,))
    assert run(policy, evidence).outcome == Outcome.DECLINE


def test_without_a_model_the_fallback_or_else_the_default_decides(
    policy: Policy,
) -> None:
    evidence = seen(None, degradations=(NO_MODEL,), rung=Rung.RULES_ONLY)
    kiosk, core = run(policy, evidence, merchant="kiosk"), run(policy, evidence)
    assert kiosk.outcome == Outcome.APPROVE
    assert core.outcome == Outcome.REVIEW
    assert codes(core) == ["NOT_SCORED"]
    assert kiosk.rung == core.rung == Rung.DEFAULT


def test_a_fallback_that_approves_gives_way_to_a_rule(policy: Policy) -> None:
    evidence = seen(
        None,
        vector=vector(card_count_1h=6),
        degradations=(NO_MODEL,),
        rung=Rung.RULES_ONLY,
    )
    core = run(policy, evidence, merchant="kiosk")
    assert core.outcome == Outcome.CHALLENGE
    assert core.rung == Rung.RULES_ONLY


def test_a_score_that_is_no_number_is_no_score(policy: Policy) -> None:
    core = run(policy, seen(nan))
    assert core.score is None
    assert core.outcome == Outcome.REVIEW


def test_with_nothing_at_all_there_is_still_a_decision_with_a_reason(
    policy: Policy,
) -> None:
    missing = tuple(Degradation(code) for code in DegradationCode if code)
    evidence = Evidence(vector=None, degradations=missing, rung=Rung.RULES_ONLY)
    core = decide(payment(), b"hash", policy=policy, evidence=evidence)
    assert core.outcome == Outcome.CHALLENGE
    assert core.rung == Rung.RULES_ONLY  # "cautious" asks, for what it lacks
    assert core.reasons
    assert core.degradations == missing


def test_a_velocity_clears_at_the_first_instant_at_which_its_rule_does_not_hold(
    policy: Policy,
) -> None:
    core = run(policy, seen(vector=vector(card_count_1h=7)))
    rows = np.stack([vector(card_count_1h=count) for count in (7, 6, 5, 4)])
    told = clears_at(core, payment(), policy, [10, 20, 30, 40], rows)
    assert told.reasons[0].velocity is not None
    assert told.reasons[0].velocity.clears_at_ms == 30


def test_a_velocity_that_never_falls_below_its_limit_has_no_clearing_time(
    policy: Policy,
) -> None:
    core = run(policy, seen(vector=vector(card_count_1h=7)))
    rows = np.stack([vector(card_count_1h=6)])
    told = clears_at(core, payment(), policy, [10], rows)
    assert told.reasons[0].velocity is not None
    assert told.reasons[0].velocity.clears_at_ms is None


numbers = st.one_of(
    st.just(nan), st.floats(0, 1e6, width=32), st.sampled_from([0.0, 1.0, 5.0, 9.0])
)


@given(
    st.lists(numbers, min_size=len(CATALOGUE.names), max_size=len(CATALOGUE.names)),
    st.none() | st.floats(0, 1),
    st.sets(st.sampled_from(DegradationCode)),
    st.integers(0, 10**13),
    st.sampled_from(["", "EUR", "JPY", "ZZZ"]),
)
def test_the_shipped_policy_decides_anything_and_twice_the_same(
    values: list[float],
    score: float | None,
    missing: set[DegradationCode],
    amount: int,
    currency: str,
) -> None:
    by = SHIPPED
    evidence = Evidence(
        vector=np.array(values, dtype=np.float32),
        probability=score,
        degradations=tuple(Degradation(code) for code in sorted(missing)),
    )
    transaction = Transaction("default", "t", amount_minor=amount, currency=currency)
    first = decide(transaction, b"hash", policy=by, evidence=evidence)
    again = decide(transaction, b"hash", policy=by, evidence=evidence)
    assert first == again
    assert first.outcome in set(Outcome) - {Outcome.UNSPECIFIED}
    assert first.reasons
    scored = score is not None and DegradationCode.MODEL_UNAVAILABLE not in missing
    if scored and score >= 0.5:
        assert first.outcome == Outcome.DECLINE
