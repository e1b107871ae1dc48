"""Every reason that a model can give has a stable code, words, and when it is true."""

from __future__ import annotations

import random
from functools import cache
from importlib.resources import files
from math import nan

import pytest

from scoring.core.features.catalogue import (
    Catalogue,
    default_catalogue,
    handbook_catalogue,
    load_catalogue,
)
from scoring.core.features.shipped_catalogues import shipped_catalogues
from scoring.core.policy.reasons import ReasonTable, default_reasons, load_reasons
from scoring.errors import BadArtifact

CATALOGUE = default_catalogue()
NAMES = [catalogue.name for catalogue in shipped_catalogues()]
SHIPPED = files("scoring.defaults").joinpath("reasons.yaml").read_text()
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


def groups(catalogue: Catalogue) -> set[str]:
    return {f.reason_group for f in catalogue.features.values()}


@pytest.mark.parametrize("catalogue", shipped_catalogues(), ids=NAMES)
def test_every_group_of_the_shipped_features_has_a_reason(catalogue):
    assert groups(catalogue) <= set(default_reasons(catalogue).groups)


def test_the_shipped_table_has_no_group_that_no_shipped_features_are_of():
    every = set().union(*map(groups, shipped_catalogues()))
    assert set(default_reasons(CATALOGUE).groups) <= every


@pytest.mark.parametrize("catalogue", shipped_catalogues(), ids=NAMES)
def test_nothing_known_supports_no_reason_of_the_shipped_table(catalogue):
    unknown = [nan] * len(catalogue.names)
    reasons = default_reasons(catalogue).groups
    assert [g for g, r in reasons.items() if r.holds(unknown)] == []


@pytest.mark.parametrize("catalogue", shipped_catalogues(), ids=NAMES)
def test_a_copy_of_the_shipped_table_says_the_same(catalogue):
    shipped = default_reasons(catalogue)
    copied = load_reasons(SHIPPED, catalogue=catalogue, name="reasons.yaml")
    rnd, told = random.Random(5), set()
    values = (nan, 0.0, 0.01, 0.5, 1.0, 6.0, 30.0, 90_000.0)
    for _ in range(500):
        seen = [rnd.choice(values) for _ in catalogue.names]
        for group in groups(catalogue):
            said = shipped.of(group).holds(seen)
            assert copied.of(group).holds(seen) is said, group
            told |= {group} if said else set()
    # Every group can be told of, in every catalogue that has it.
    assert told == groups(catalogue)


@pytest.mark.parametrize("catalogue", shipped_catalogues(), ids=NAMES)
@pytest.mark.parametrize(
    ("group", "when", "said"),
    [
        ("IP_VELOCITY", "features.ip_cuont_1h > 1.0", "'ip_cuont_1h' is not a feature"),
        ("IP_VELOCITY", "features.email_age > 1.0", "email_age"),
        ("PAYEE_RISK", "features.payee_fraud_rate_30d > 1", "write 1.0"),
        ("IP_VELOCITI", "features.ip_count_1h > 1.0", "did you mean 'IP_VELOCITY'?"),
    ],
)
def test_a_mistake_in_a_row_for_any_shipped_catalogue_is_refused_by_all(
    catalogue, group, when, said
):
    text = HEAD + ROW % (group, "SOME", when, "OTHER")
    with pytest.raises(BadArtifact, match=r"reasons\.yaml:4: reasons\.0\.") as no:
        load_reasons(text, catalogue=catalogue, name="reasons.yaml")
    assert said in str(no.value)


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
    "a family's e-mail address": (
        "EMAIL_VELOCITY",
        {"email_count_1h": 3, "email_count_1d": 5, "email_cards_7d": 3,
         "email_devices_7d": 4, "device_emails_1d": 4},
    ),
    "an address seen yesterday": ("NEW_EMAIL", {"email_age": 90_000}),
    "a mobile network's address": (
        "IP_VELOCITY",
        {"ip_count_10m": 90, "ip_count_1h": 500, "ip_count_1d": 9_000,
         "ip_cards_1h": 256, "ip_cards_1d": 256, "ip_emails_1d": 256,
         "ip_network_count_10m": 900, "ip_network_count_1h": 5_000},
    ),
    "a cafe at noon": (
        "IP_VELOCITY",
        {"ip_count_10m": 4, "ip_count_1h": 9, "ip_count_1d": 12, "ip_cards_1h": 8,
         "ip_cards_1d": 10, "ip_emails_1d": 9},
    ),
    "the bills of the month": (
        "PAYER_VELOCITY",
        {"payer_count_1h": 6, "payer_count_1d": 7, "payer_count_7d": 8,
         "payer_payees_1d": 6, "payer_payees_7d": 7},
    ),
    "the wages of hundreds": (
        "PAYER_VELOCITY", {"payer_payees_1d": 256, "payer_payees_7d": 256},
    ),
    "an account of last year": ("NEW_PAYER", {"payer_age": 7_776_000}),
    "a supplier of electricity": (
        "PAYEE_VELOCITY",
        {"payee_count_10m": 40, "payee_count_1h": 200, "payee_count_1d": 3_000,
         "payee_payers_1d": 256, "payee_payers_7d": 256},
    ),
    "the landlord": ("NEW_PAYEE", {"payer_new_payee": 0, "payee_age": 7_776_000}),
    "an account without fraud": ("PAYEE_RISK", {"payee_fraud_rate_30d": 0.01}),
    "a transfer somewhat above the usual": (
        "AMOUNT_UNUSUAL", {"payer_ratio": 2.2, "payer_zscore": 2.0},
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
    "five cards with one e-mail address": ("EMAIL_VELOCITY", {"email_cards_7d": 5}),
    "six e-mail addresses from one device": ("EMAIL_VELOCITY", {"device_emails_1d": 6}),
    "an address first seen now": ("NEW_EMAIL", {"email_age": 0}),
    "thirty attempts in ten minutes": (
        "IP_VELOCITY", {"ip_count_10m": 30, "ip_count_1h": 31},
    ),
    "a list of cards tried from one address": (
        "IP_VELOCITY", {"ip_cards_1h": 40, "ip_cards_1d": 42},
    ),
    "e-mail addresses made up for one card": (
        "IP_VELOCITY", {"ip_emails_1d": 6, "ip_cards_1d": 1},
    ),
    "attempts from all addresses of a network": (
        "IP_VELOCITY", {"ip_network_count_10m": 50, "ip_network_count_1h": 55},
    ),
    "an account that is emptied": (
        "PAYER_VELOCITY", {"payer_count_1h": 9, "payer_count_7d": 10},
    ),
    "money spread over many accounts": (
        "PAYER_VELOCITY", {"payer_payees_1d": 12, "payer_payees_7d": 13},
    ),
    "an account that pays for the first time": ("NEW_PAYER", {"payer_age": 0}),
    "an account that collects from many": (
        "PAYEE_VELOCITY", {"payee_payers_1d": 15, "payee_payers_7d": 15},
    ),
    "six transfers at once": (
        "PAYEE_VELOCITY", {"payee_count_10m": 6, "payee_count_1h": 6},
    ),
    "never paid from here": ("NEW_PAYEE", {"payer_new_payee": 1}),
    "an account nobody paid before": ("NEW_PAYEE", {"payee_age": 0}),
    "an account with known fraud": ("PAYEE_RISK", {"payee_fraud_rate_30d": 0.3}),
    "ten times what the account sends": ("AMOUNT_UNUSUAL", {"payer_ratio": 10}),
}  # fmt: skip


@cache
def shipped_reasons(name: str) -> ReasonTable:
    (catalogue,) = (c for c in shipped_catalogues() if c.name == name)
    return default_reasons(catalogue)


def supported(group: str, known: dict[str, float]) -> set[bool]:
    """Whether the wording is said, by each shipped catalogue that can know so much."""
    able = [
        catalogue
        for catalogue in shipped_catalogues()
        if group in groups(catalogue) and known.keys() <= set(catalogue.names)
    ]
    return {
        shipped_reasons(catalogue.name)
        .of(group)
        .holds([known.get(name, nan) for name in catalogue.names])
        for catalogue in able
    }


@pytest.mark.parametrize("case", ORDINARY)
def test_the_ordinary_is_not_called_unusual(case):
    assert supported(*ORDINARY[case]) == {False}


@pytest.mark.parametrize("case", SAID)
def test_what_is_plainly_so_is_said(case):
    assert supported(*SAID[case]) == {True}
