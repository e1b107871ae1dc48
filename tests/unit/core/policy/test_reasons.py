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
    with pytest.raises(BadArtifact, match="code stands twice: SAME"):
        table(("CARD_VELOCITY", "SAME", good, "SAME"))


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
