"""A policy file: what it means once loaded."""

from __future__ import annotations

import pytest
import yaml
from small_policy import SMALL

from scoring.core.decision.decision import DecisionCore, Outcome
from scoring.core.features.catalogue import (
    default_catalogue,
    load_catalogue,
    load_default,
)
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.shipped_policy import default_policy, shipped_text
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact

CATALOGUE = default_catalogue()
DAY_MS = 86_400_000
NOON_2026_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z

BARE = """
name: bare
currency: {reference: EUR}
entities: {card: card}
features:
  - name: amount
    statistic: value
    expression: amount
    reason_group: AMOUNT_UNUSUAL
    description: Amount of the payment
"""


def policy(extra: str = "") -> Policy:
    return load_policy(SMALL + extra, catalogue=CATALOGUE, name="policy.yaml")


def payment(**fields: object) -> Transaction:
    given = {"occurred_at_ms": NOON_2026_MS, "amount_minor": 1_000, "currency": "EUR"}
    return Transaction("default", "t1", **(given | fields))


def decided(
    by: Policy, transaction: Transaction, score: float | None = 0.01
) -> DecisionCore:
    evidence = Evidence(vector=None, probability=score)
    return decide(transaction, b"h", policy=by, evidence=evidence)


def outcome(
    by: Policy, transaction: Transaction, score: float | None = 0.01
) -> Outcome:
    return decided(by, transaction, score).outcome


def test_the_shipped_policy_loads_against_the_shipped_definitions() -> None:
    assert default_policy(CATALOGUE).file.rules


def test_a_score_reaches_the_strictest_level_at_or_below_it() -> None:
    by = policy()
    scores = (0.0999, 0.1, 0.2, 0.5, 1.0)
    assert [outcome(by, payment(), score).name for score in scores] == [
        "APPROVE",
        "CHALLENGE",
        "REVIEW",
        "DECLINE",
        "DECLINE",
    ]


def test_the_first_segment_that_matches_sets_the_levels_and_inherits_the_rest() -> None:
    segments = """
    - where: {merchant: [m1, m2], channel: ECOMMERCE}
      challenge: 0.01
    - where: {merchant: m1}
      decline: 0.3
    - where: {merchant_category: "7995"}
      review: 0.02
    - where: {amount_minor_from: 10000, amount_minor_below: 20000}
      challenge: 0.05
"""
    by = load_policy(
        SMALL.replace("default: {ch", "segments:" + segments + "  default: {ch"),
        catalogue=CATALOGUE,
        name="policy.yaml",
    )
    assert outcome(by, payment(merchant="m1", channel=2), 0.02) == Outcome.CHALLENGE
    assert outcome(by, payment(merchant="m1", channel=2), 0.3) == Outcome.REVIEW
    assert outcome(by, payment(merchant="m1", channel=1), 0.3) == Outcome.DECLINE
    assert outcome(by, payment(merchant_category="7995"), 0.03) == Outcome.REVIEW
    assert outcome(by, payment(amount_minor=19_999), 0.06) == Outcome.CHALLENGE
    assert outcome(by, payment(amount_minor=20_000), 0.06) == Outcome.APPROVE


def test_an_amount_segment_counts_in_the_reference_currency() -> None:
    limit = "limits: {ticket_minor: {default: 100, segments: "
    rules = (
        limit + "[{where: {amount_minor_from: 10000}, limit: 0}]}}\n"
        "rules: [{id: large, when: 'transaction.amount_minor > limits.ticket_minor "
        "&& limits.ticket_minor == 0', then: review, reason_code: TOO_LARGE}]\n"
    )
    by = policy(rules)
    assert outcome(by, payment(amount_minor=10_000)) == Outcome.REVIEW
    yen = payment(amount_minor=10_000, currency="JPY")
    assert outcome(by, yen) == Outcome.APPROVE


def test_an_amount_in_a_currency_without_a_rate_is_in_no_amount_segment() -> None:
    fallbacks = (
        "fallbacks:\n"
        "  - {degradation: model_unavailable, where: {amount_minor_below: 500}, "
        "then: approve, reason_code: NOT_SCORED}\n"
    )
    by = policy(fallbacks)
    unknown = payment(amount_minor=1, currency="ZZZ")
    assert outcome(by, unknown, None) == Outcome.REVIEW


LISTS = """
lists:
  blocked:
    field: card
    then: decline
    reason_code: BLOCKED
    entries:
      - {token: c1}
      - {token: c2, expires: 2026-01-01T12:00:00Z, reason: stolen}
  trusted:
    field: customer
    then: approve
    reason_code: TRUSTED
    entries: [{token: u1}]
"""


def test_a_block_list_declines_and_an_allow_list_approves_whatever_the_score() -> None:
    by = policy(LISTS)
    assert outcome(by, payment(card="c1")) == Outcome.DECLINE
    assert outcome(by, payment(customer="u1"), 0.99) == Outcome.APPROVE
    assert outcome(by, payment(card="c1", customer="u1"), 0.99) == Outcome.DECLINE


def test_an_entry_ends_by_event_time_to_the_millisecond() -> None:
    by = policy(LISTS)
    last = payment(card="c2", occurred_at_ms=NOON_2026_MS - 1)
    assert outcome(by, last) == Outcome.DECLINE
    assert outcome(by, payment(card="c2")) == Outcome.APPROVE


def test_a_payment_without_the_listed_field_is_on_no_list() -> None:
    assert decided(policy(LISTS), payment()).rule_hits == ()


def test_a_rule_counts_between_its_start_and_its_end_by_event_time() -> None:
    by = policy(
        "rules: [{id: large, when: transaction.amount_minor > 10, then: review, "
        "reason_code: TOO_LARGE, starts: 2026-01-01T12:00:00Z, "
        "expires: 2026-01-02T12:00:00Z}]\n"
    )
    instants = (-1, 0, DAY_MS - 1, DAY_MS)
    hit = [
        bool(decided(by, payment(occurred_at_ms=NOON_2026_MS + i)).rule_hits)
        for i in instants
    ]
    assert hit == [False, True, True, False]


def test_a_rule_that_is_off_is_not_asked_and_a_shadow_rule_only_recorded() -> None:
    rules = (
        "rules:\n"
        "  - {id: a, when: transaction.amount_minor > 10, then: decline, "
        "reason_code: TOO_LARGE, mode: off}\n"
        "  - {id: b, when: transaction.amount_minor > 10, then: decline, "
        "reason_code: TOO_LARGE, mode: shadow}\n"
    )
    core = decided(policy(rules), payment())
    assert core.outcome == Outcome.APPROVE
    assert [hit.rule for hit in core.rule_hits] == ["b"]


def test_comments_and_layout_leave_the_version_and_every_meaning_changes_it() -> None:
    again = yaml.safe_dump(yaml.safe_load(SMALL))
    assert (
        policy().version
        == load_policy(
            "# another comment\n" + again, catalogue=CATALOGUE, name="p"
        ).version
    )
    assert policy().version != policy(LISTS).version
    wording = SMALL.replace("Nothing unusual was found", "Nothing was found at all")
    other = load_policy(wording, catalogue=CATALOGUE, name="p")
    assert policy().version != other.version


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("version: 1", "version: 2", 2, "version"),
        ("name: small", "nam: small", 3, "did you mean 'name'"),
        ("review: 0.2", "review: 20", 5, "less than 1"),
        ("challenge: 0.1", "challenge: 0.3", 5, "must rise"),
        ("outcome: review", "outcome: reject", 6, "'approve', 'challenge'"),
        ("reason_code: NOT_SCORED", "reason_code: NOT_SCORD", 6, "no wording"),
        ("  TOO_LARGE: The", "  too_large: The", 12, "pattern"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_what_would_be_right(
    before: str, after: str, line: int, said: str
) -> None:
    with pytest.raises(BadArtifact) as refused:
        load_policy(SMALL.replace(before, after), catalogue=CATALOGUE, name="p.yaml")
    assert f"p.yaml:{line}: " in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("rules: [{id: a, when: 'true', then: review, reason_code: TOO_LARGE}, "
         "{id: a, when: 'true', then: review, reason_code: TOO_LARGE}]"), "is taken"),
        (("rules: [{id: a, when: 'true', then: review, reason_code: TOO_LARGE, "
         "starts: 2026-01-01T12:00:00}]"), "time zone"),
        (("rules: [{id: a, when: 'true', then: review, reason_code: TOO_LARGE, "
         "starts: 2026-01-02T12:00:00Z, expires: 2026-01-01T12:00:00Z}]"), "after"),
        ("lists: {l: {field: card, entries: []}}", "written together"),
        ("lists: {l: {entries: [{token: '4111111111111111'}]}}", "card number"),
        ("limits: {ticket_minor: {default: 1.5}}", "whole number"),
        (("fallbacks: [{degradation: too_late, then: score}, "
         "{degradation: too_late, where: {merchant: m}, then: score}]"),
         "never reached"),
        ("fallbacks: [{degradation: too_late, then: review}]", "reason_code"),
        ("fallbacks: [{degradation: redis_down, then: score}]", "history_unavailable"),
        ("fallbacks: [{degradation: too_late, where: {}, then: score}]", "empty"),
        ("fallbacks: [{degradation: too_late, where: {channel: WEB}, then: score}]",
         "ECOMMERCE"),
    ],
)  # fmt: skip
def test_parts_that_contradict_each_other_are_refused(extra: str, said: str) -> None:
    with pytest.raises(BadArtifact, match=r"policy\.yaml:\d+: ") as refused:
        policy(extra)
    assert said in str(refused.value)


def test_a_card_number_in_a_list_is_refused_without_being_repeated() -> None:
    with pytest.raises(BadArtifact) as refused:
        policy("lists: {l: {entries: [{token: '4111111111111111'}]}}")
    assert "4111" not in str(refused.value)


@pytest.mark.parametrize(
    "where",
    [
        "{merchant: []}", "{currency: []}", "{merchant: ''}", "{merchant: [a, '']}",
        "{merchant: null}", "{amount_minor_below: null}", "{currency: usd}",
        "{currency: XXY}", "{card_country: UK}", "{card_country: Germany}",
        "{merchant_country: de}", '{merchant_category: "742"}',
        "{merchant_category: 7995}", "{merchant_category: 0742}",
        "{channel: ecommerce}", "{amount_minor_from: true}", "{amount_minor_from: '5'}",
    ],
)  # fmt: skip
def test_a_segment_that_matches_everybody_or_nobody_is_refused(where: str) -> None:
    segment = f"limits: {{x: {{default: 1, segments: [{{where: {where}, limit: 2}}]}}}}"
    with pytest.raises(
        BadArtifact, match=r"policy.yaml:\d+: limits.x.segments.0.where"
    ):
        policy(segment)


@pytest.mark.parametrize(
    "number", ["off", "true", "'8'", "1:30", "1_000", "NaN", ".nan"]
)
def test_a_limit_is_a_number_and_nothing_that_can_be_read_as_one(number: str) -> None:
    with pytest.raises(BadArtifact, match=r"limits\.x\.default"):
        policy(f"limits: {{x: {{default: {number}}}}}")


def test_a_leading_zero_does_not_change_a_limit() -> None:
    assert policy("limits: {x: {default: 010}}").file.limits["x"].default == 10


@pytest.mark.parametrize(
    ("field", "token"),
    [("card_country", "Germany"), ("merchant_category", "742"), ("ip_country", "uk")],
)
def test_a_list_holds_only_what_its_field_can_be(field: str, token: str) -> None:
    listed = f"{{field: {field}, then: decline, reason_code: BLOCKED, entries: ["
    with pytest.raises(BadArtifact, match=r"lists\.odd"):
        policy(f"lists: {{odd: {listed}{{token: '{token}'}}]}}}}")


def test_the_shipped_policy_names_the_rules_that_other_definitions_cannot_answer() -> (
    None
):
    with pytest.raises(
        BadArtifact, match=r"card_velocity.*'handbook' lack.*--for FILE"
    ):
        default_policy(load_default("handbook"))


def test_the_shipped_policy_for_other_definitions_keeps_what_they_can_answer() -> None:
    handbook = load_default("handbook")
    cut = load_policy(shipped_text(handbook), catalogue=handbook, name="cut.yaml")
    whole = default_policy(CATALOGUE)
    kept = [rule.id for rule in cut.file.rules]
    assert kept == ["risky_category_abroad", "terminal_under_attack"]
    assert cut.file.thresholds == whole.file.thresholds
    assert shipped_text(CATALOGUE) == shipped_text()


def test_the_shipped_policy_keeps_rules_that_need_no_feature() -> None:
    bare = load_catalogue(BARE, name="bare.yaml")
    cut = load_policy(shipped_text(bare), catalogue=bare, name="cut.yaml")
    assert [rule.id for rule in cut.file.rules] == ["risky_category_abroad"]
