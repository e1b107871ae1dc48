"""Every kind of bad policy is refused, with its line, its field and what to do."""

from __future__ import annotations

import re

import pytest
from cases.bad_policies import ALL, Bad

from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.policy.policy_problems import remarks
from scoring.core.policy.shipped_policy import shipped_text
from scoring.errors import BadArtifact

SHIPPED = shipped_text()
PROBLEM = re.compile(r"mine\.yaml:(\d+): (?:([^: ][^:]*): )?(.+)")


def changed(old: str, new: str) -> str:
    assert old in SHIPPED
    return SHIPPED.replace(old, new, 1)


def problems(text: str) -> list[tuple[int, str, str]]:
    """(line, field, sentence) of everything that is wrong; rules show their text."""
    with pytest.raises(BadArtifact) as refused:
        load_policy(text, catalogue=default_catalogue(), name="mine.yaml")
    lines = [x for x in str(refused.value).splitlines() if not x.startswith("    ")]
    found = [PROBLEM.fullmatch(line) for line in lines]
    assert all(found), lines
    return [(int(m[1]), m[2] or "", m[3]) for m in found if m]


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad[1][:60] or "nothing")
def test_a_bad_policy_is_refused_with_its_field_and_what_is_wrong(bad: Bad) -> None:
    old, new, field, said = bad
    text = changed(old, new)
    told = [
        (line, sentence)
        for line, place, sentence in problems(text)
        if (place == field or not field) and said in f"{place}: {sentence}"
    ]
    assert told
    # What a stranger must not have to read: the parser's inside.
    assert not re.search(
        r"Traceback|pydantic|Input should|\[key\]|literal\[", str(told)
    )
    assert all(1 <= line <= text.count("\n") + 1 for line, _ in told)


FIRST = "when: features.card_payments_1h > limits.card_payments_1h"


@pytest.mark.parametrize(
    "measure", ["mode: shadow", "mode: 'off'", "expires: 2030-01-01T00:00:00Z"]
)
def test_a_rule_for_every_payment_is_a_measure_that_ends_or_a_count(
    measure: str,
) -> None:
    text = changed(FIRST, f"when: 'true'\n    {measure}")
    policy = load_policy(text, catalogue=default_catalogue(), name="mine.yaml")
    said = remarks(policy.file, policy.program.always)
    told = "rules.0 (card_velocity): holds for every payment"
    assert (told in said) is ("off" not in measure)


@pytest.mark.parametrize(
    "text",
    [
        "features.card_count_1h > 0.0",
        "features.card_count_1h >= 1.0",
        "transaction.amount_minor == 0",
        "transaction.amount_minor <= 0",
        "transaction.attempt >= 2",
        "score >= 1.0",
        "score <= 0.0",
        "features.hour >= 23.0 || features.hour < 1.0",
        "!(features.is_night == 1.0)",
        "!has(features.card_speed) || features.card_speed > 500.0",
        "has(transaction.card) && !(transaction.card in lists.blocked_cards)",
        "transaction.card in lists.blocked_cards || score > 0.99",
        'transaction.currency != "EUR" && transaction.currency != "USD"',
        'transaction.channel != "ATM" && transaction.channel != "ECOMMERCE"',
        "limits.card_merchants_1h == 0.0 && score > 0.5",
        "features.customer_zscore < -1.0",
        "score > 0.5 && score <= 0.6",
        "features.card_sum_1d - features.card_sum_1h < 100.0",
    ],
)
def test_what_can_hold_for_some_payments_only_is_accepted(text: str) -> None:
    policy = load_policy(
        changed(FIRST, f"when: '{text}'"), catalogue=default_catalogue(), name="m"
    )
    assert not policy.program.always
