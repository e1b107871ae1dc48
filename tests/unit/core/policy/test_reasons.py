"""Every reason that a model can give has a stable code, words, and when it is true."""

from __future__ import annotations

from importlib.resources import files
from math import nan

import pytest

from scoring.core.features.catalogue import (
    default_catalogue,
    handbook_catalogue,
    load_catalogue,
)
from scoring.core.policy.reasons import ReasonTable, default_reasons, load_reasons
from scoring.errors import BadArtifact

CATALOGUE = default_catalogue()
HEAD = """version: 1
score: {code: RISK_SCORE, wording: It resembles fraud.}
reasons:
"""
ROW = (
    "  - {group: %s, code: %s, wording: Some true words., when: '%s',"
    " otherwise: {code: %s, wording: Some neutral words.}}\n"
)


def table(*rows: tuple[str, str, str, str]) -> ReasonTable:
    text = HEAD + "".join(ROW % row for row in rows)
    return load_reasons(text, catalogue=CATALOGUE, name="reasons.yaml")


def row(**known: float) -> list[float]:
    return [known.get(name, nan) for name in CATALOGUE.names]


@pytest.mark.parametrize("catalogue", [default_catalogue, handbook_catalogue])
def test_every_group_of_the_shipped_features_has_a_reason(catalogue):
    groups = {f.reason_group for f in catalogue().features.values()}
    assert groups <= set(default_reasons(catalogue()).groups)


def test_nothing_known_supports_no_reason_of_the_shipped_table():
    reasons = default_reasons(CATALOGUE)
    assert [g for g, r in reasons.groups.items() if r.holds(row())] == []


def test_a_reason_holds_where_one_of_its_predicates_is_known_to():
    reason = default_reasons(CATALOGUE).of("TERMINAL_RISK")
    assert reason.holds(row(terminal_fraud_rate_30d=0.3))
    assert reason.holds(row(terminal_since_fraud=0.0))
    assert not reason.holds(row(terminal_fraud_rate_30d=0.01, terminal_fraud_streak=0))


def test_what_other_definitions_cannot_answer_leaves_the_neutral_reason():
    lean = default_reasons(handbook_catalogue())
    assert not lean.of("CARD_TESTING").holds([9.0] * len(handbook_catalogue().names))
    assert lean.of("CARD_TESTING").neutral[0] == "CARD_PLACES"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("features.card_count_2h > 1.0", "is not a feature"),
        ("features.card_count_1h > 1", "write 1.0"),
        ("features.card_count_1h", "is not a condition"),
        ("features.hour > 1.0", "hour is of another group than CARD_VELOCITY"),
        ("features.card_count_1h > limits.x", "is not a limit"),
        ('transaction.card == "a"', "may read features only"),
        ("score > 0.5", "may read features only"),
    ],
)
def test_a_predicate_is_checked_like_a_rule(when, said):
    with pytest.raises(BadArtifact, match=r"reasons.yaml:4: reasons.0.when: ") as no:
        table(("CARD_VELOCITY", "OFTEN", when, "SELDOM"))
    assert said in str(no.value)


def test_a_code_that_stands_twice_is_refused():
    good = "features.card_count_1h > 1.0"
    with pytest.raises(BadArtifact) as no:
        table(("CARD_VELOCITY", "SAME", good, "SAME"))
    said = "reasons.0.otherwise.code: SAME is in reasons.0.code already"
    assert str(no.value) == f"reasons.yaml:4: {said}"


def test_all_mistakes_of_a_table_of_reasons_are_told_in_the_order_of_its_lines():
    text = HEAD + (
        "  - group: CARD_VELOCITI\n"
        "    code: OFTEN\n"
        "    wording: Some true words.\n"
        "    when: features.card_count_1h > 1.0\n"
        "    otherwise: {code: SELDOM, wording: Some neutral words.}\n"
        "  - group: CARD_VELOCITY\n"
        "    code: RISK_SCORE\n"
        "    wording: Not for 4111 1111 1111 1111.\n"
        "    when: [features.card_count_1h > 1, features.card_cuont_1h > 1.0]\n"
        "    otherwise: {code: OTHER, wording: Some neutral words.}\n"
    )
    with pytest.raises(BadArtifact) as no:
        load_reasons(text, catalogue=CATALOGUE, name="reasons.yaml")
    told = [x for x in str(no.value).splitlines() if x.startswith("reasons.yaml")]
    starts = [
        "4: reasons.0.group: no feature is of CARD_VELOCITI; did you mean",
        "10: reasons.1.code: RISK_SCORE is in score.code already",
        "11: reasons.1.wording: holds a card number",
        "12: reasons.1.when: '>' takes numbers of one kind, features are decimal",
        "12: reasons.1.when: 'card_cuont_1h' is not a feature; did you mean",
    ]
    assert len(told) == len(starts)
    for line, start in zip(told, starts, strict=True):
        assert line.startswith(f"reasons.yaml:{start}")


def test_a_misspelt_code_is_refused_with_its_line():
    with pytest.raises(BadArtifact, match=r"reasons.yaml:4: reasons.0.code"):
        table(("CARD_VELOCITY", "no code", "features.card_count_1h > 1.0", "OTHER"))


@pytest.mark.parametrize("always", ["true", "1.0 < 2.0"])
def test_a_predicate_that_reads_nothing_proves_nothing(always):
    with pytest.raises(BadArtifact, match=r"reasons\.yaml:4: reasons\.0\.when: "):
        table(("NEW_CARD", "NEW_CARD", always, "CARD_HISTORY"))


@pytest.mark.parametrize(("frauds", "said"), [(0.02, True), (0.2, False)])
def test_a_prior_of_the_definitions_own_is_not_taken_for_fraud(frauds, said):
    text = files("scoring.defaults").joinpath("features.yaml").read_text()
    shipped = "prior: {frauds: 0.02, transactions: 2}"
    assert shipped in text
    own = text.replace(shipped, f"prior: {{frauds: {frauds}, transactions: 2}}")
    catalogue = load_catalogue(own, name="features.yaml")
    reasons = default_reasons(catalogue)
    seen = [0.2 if n.endswith("fraud_rate_30d") else nan for n in catalogue.names]
    assert reasons.of("MERCHANT_RISK").holds(seen) is said


# What a customer would contradict: the ordinary, at the edge of the wording.
ORDINARY = {
    "a coffee two minutes after the ticket": (
        "CARD_VELOCITY",
        {"card_since_last": 90, "card_count_1h": 2, "card_count_1d": 2},
    ),
    "a fleet's card on its usual day": (
        "CARD_VELOCITY",
        {"card_count_1h": 5, "card_count_1d": 40, "card_count_7d": 200},
    ),
    "two payments of a customer within a minute": (
        "CUSTOMER_VELOCITY",
        {"customer_since_last": 40, "customer_count_1d": 2, "customer_count_7d": 9},
    ),
    "a customer with three cards": ("CUSTOMER_VELOCITY", {"customer_cards_7d": 3}),
    "a fast train": ("IMPOSSIBLE_TRAVEL", {"card_speed": 320}),
    "a flight": ("IMPOSSIBLE_TRAVEL", {"card_speed": 950}),
    "three shops in an hour": (
        "CARD_TESTING",
        {"card_merchants_1h": 3, "card_merchants_1d": 6},
    ),
    "a bigger shopping": (
        "AMOUNT_UNUSUAL",
        {"amount": 5_000, "customer_mean_30d": 2_500, "customer_ratio": 2.2,
         "customer_zscore": 2.0, "merchant_ratio_30d": 2.5},
    ),
    "a coffee": ("AMOUNT_UNUSUAL", {"customer_ratio": 0.1, "merchant_ratio_30d": 0.1}),
    "a wallet at a till": ("CHANNEL_RISK", {"is_on_file": 1, "is_ecommerce": 0}),
    "a family's tablet": (
        "DEVICE_VELOCITY",
        {"device_customers_30d": 4, "device_cards_7d": 3, "device_count_1d": 4},
    ),
    "a canteen at noon": (
        "TERMINAL_VELOCITY",
        {"terminal_count_1h": 60, "terminal_count_1d": 150, "terminal_count_7d": 700},
    ),
    "a shop's busy hour": (
        "MERCHANT_VELOCITY", {"merchant_count_1h": 90, "merchant_count_1d": 600},
    ),
}  # fmt: skip
SAID = {
    "a card used six times in its first hour": (
        "CARD_VELOCITY", {"card_count_1h": 6, "card_count_7d": 6},
    ),
    "a card used today as often as all week": (
        "CARD_VELOCITY", {"card_count_1d": 5, "card_count_7d": 10},
    ),
    "another continent within the hour": ("IMPOSSIBLE_TRAVEL", {"card_speed": 5_000}),
    "six shops in an hour": ("CARD_TESTING", {"card_merchants_1h": 6}),
    "ten times the usual": ("AMOUNT_UNUSUAL", {"customer_ratio": 10}),
    "five cards from one device": ("DEVICE_VELOCITY", {"device_cards_7d": 5}),
    "a night": ("TIME_UNUSUAL", {"is_night": 1}),
}  # fmt: skip


@pytest.mark.parametrize("case", ORDINARY)
def test_the_ordinary_is_not_called_unusual(case):
    group, known = ORDINARY[case]
    assert not default_reasons(CATALOGUE).of(group).holds(row(**known))


@pytest.mark.parametrize("case", SAID)
def test_what_is_plainly_so_is_said(case):
    group, known = SAID[case]
    assert default_reasons(CATALOGUE).of(group).holds(row(**known))
