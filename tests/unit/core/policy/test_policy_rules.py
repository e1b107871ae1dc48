"""Rules that must never run are refused at load, with a position and a remedy."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.policy.rules.check import CHARACTERS_MAX
from scoring.core.policy.rules.inputs import Schema
from scoring.core.policy.rules.program import Bindings, Clause, RuleProgram, compiled
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact

SCHEMA = Schema(
    ("count_1h", "sum_1d", "ratio"),
    frozenset({"count_1h", "sum_1d"}),
    {"attempts": 5.0, "ticket_minor": 100},
    {"blocked": ("c1",), "abroad": ("FR", "Germany")},
)
BINDINGS = Bindings({}, {"blocked": {"c1": 2**62}, "abroad": {"FR": 2**62}})

# The rule, the column of the mistake, and what the message says to do.
BAD_RULES = [
    ("features.cuont_1h > 5.0", 10, "did you mean 'count_1h'"),
    ("transaction.amont_minor > 5", 13, "did you mean 'amount_minor'"),
    ("features.count_1h > limits.atempts", 28, "did you mean 'attempts'"),
    ("transaction.card in lists.blockd", 27, "did you mean 'blocked'"),
    ("scor > 0.5", 1, "did you mean 'score'"),
    ("merchant.country == 'DE'", 9, "use transaction, features, limits"),
    ("features.count_1h > 5", 19, "write 5.0"),
    ("features.count_1h > 5.0 && score >= 1", 34, "write 1.0"),
    ("transaction.amount_minor > 500.0", 26, "write 500"),
    ("features.sum_1d > limits.ticket_minor", 17, "numbers of one kind"),
    ("features.count_1h > 'many'", 19, "does not take (double, string)"),
    ("transaction.card > 5", 18, "does not take (string, int)"),
    ("transaction.card > 'a'", 18, "use == or in"),
    ("transaction.channel == 'ECOMERCE'", 24, "did you mean 'ECOMMERCE'"),
    ("transaction.entry_mode in ['CHIPS']", 28, "did you mean 'CHIP'"),
    ("transaction.card == ''", 21, "!has("),
    ("transaction.currency == 'usd'", 25, "did you mean 'USD'"),
    ("'ERU' != transaction.currency", 1, "did you mean 'EUR'"),
    ("transaction.card_country == 'UK'", 29, "did you mean 'GB'"),
    ("transaction.ip_country in ['FR', 'Germany']", 34, "did you mean 'DE'"),
    ("transaction.card_country in lists.abroad", 34, "did you mean 'DE'"),
    ("transaction.merchant_category == '742'", 34, "did you mean '0742'"),
    ("transaction.currency == transaction.card_country", 36, "never equal"),
    ("transaction.occurred_at_ms > 1767268800", 30, "lies between 946684800000"),
    ("transaction.attempt == 0", 24, "lies between 1 and 1000"),
    ("score > 1.5", 9, "lies between 0 and 1"),
    ("score == score", 7, "with itself"),
    ("transaction.card == 'a\\u202eb'", 21, "printable"),
    ("features.sum_1d / features.count_1h > 5.0", 17, "multiply the other side"),
    ("transaction.amount_minor % 2 == 0", 26, "is not allowed"),
    ("(score > 0.5 ? 1.0 : 2.0) > 1.0", 14, "two rules"),
    ("[1.0, 2.0].exists(x, x > score)", 18, "loops"),
    ("features.card_count_1h.startsWith('a')", 34, "does not take"),
    ("transaction.card.contains('')", 27, "empty text"),
    ("transaction.card.endsWith(transaction.card)", 26, "with itself"),
    ("size(transaction.card) > 3.0", 24, "write 3"),
    ("size(transaction.card) > 0", 26, "has(transaction.card)"),
    ("transaction.channel.startsWith('Q')", 31, "never holds"),
    ("transaction.numbers.basket == 'a'", 28, "does not take"),
    ("transaction.card.matches('a+')", 25, "use a list"),
    ("features.count_1h in [1.0]", 9, "takes a text"),
    ("transaction.card in ['a', transaction.customer]", 38, "constant texts"),
    ("transaction.card in []", 21, "empty"),
    ("features['count_1h'] > 1.0", 9, "attributes"),
    ("transaction.attributes[transaction.card] == 'a'", 23, "attributes"),
    ("features.count_1h", 1, "not a condition"),
    ("transaction.card", 12, "not a condition"),
    ("features == features", 1, "name a field"),
    ("5.0 > 4.0", 5, "two constants"),
    ("has(limits.attempts)", 4, "feature or transaction field"),
    ("features.count_1h > 5.0 &&", 27, "Syntax error"),
    ("features.count_1h >> 5.0", 20, "Syntax error"),
    ("", 1, "Syntax error"),
    ("transaction.amount_minor * 1000000000 > 5", 26, "may overflow"),
    ("transaction.amount_minor > 99999999999999999999", 28, "invalid int literal"),
    ("{'a': 1}.a == 1", 9, "known inputs"),
    ("score > 0.5 &&\x85scor > 0.5", 15, ""),
    ("\u2028\n\n scor > 1.0", 1, ""),
    ("true == true", 1, "cannot be compared"),
    ("null == null", 1, "cannot be compared"),
    (" && ".join(["score > 0.5"] * 90), 1, "split it"),
    ("score > 0.5 " * CHARACTERS_MAX, 1, "split it"),
    ("(" * 200 + "score > 0.5" + ")" * 200, 1, ""),
]


SHAPES = (
    "features.count_1h > {n}.0 && transaction.amount_minor > {n}",
    "features.sum_1d > {n}.0 || features.ratio > {n}.0",
    "transaction.card in lists.blocked && features.count_1h <= {n}.0",
    "has(transaction.device) && !(features.ratio < {n}.0)",
)
PAID = Transaction(
    *("default", "t1"), 5, 75, "EUR", card="c1", merchant="m", device="d1"
)


def program(*texts: str) -> RuleProgram:
    made, problems = compiled([Clause(t) for t in texts], SCHEMA, BINDINGS)
    assert problems == []
    return made


@pytest.mark.parametrize(("text", "column", "said"), BAD_RULES)
def test_a_bad_rule_is_refused_where_it_is_wrong_and_with_a_remedy(
    text: str, column: int, said: str
) -> None:
    _, problems = compiled([Clause(text)], SCHEMA, BINDINGS)
    [(clause, problem)] = problems
    assert clause == 0
    assert said in problem.message
    assert problem.offset == column - 1


def test_many_rules_are_compiled_in_pieces_and_come_out_as_each_alone() -> None:
    """Python compiles a function in one go, and no other thread runs meanwhile."""
    texts = [SHAPES[n % len(SHAPES)].format(n=n) for n in range(150)]
    together = program(*texts)
    functions = [piece.evaluate for piece in together.pieces]
    functions += [part for piece in together.pieces for _, part in piece.careful]
    sizes = [len(function.__code__.co_code) for function in functions]
    assert max(sizes) < sum(sizes) / 10
    lists = {"blocked": {"c2": 9}, "abroad": {"FR": 2**62}}
    for made, listed in ((together, {}), (together.with_lists(lists), lists)):
        alone = [program(text).with_lists(listed) for text in texts]
        for row in ([40.0, 90.0, nan], [nan, 70.0, 3.0], [149.0, 149.0, 149.0]):
            for asked in (
                replace(PAID, card="c2"),
                replace(PAID, card="c1", device=""),
            ):
                each = [rule.evaluate(row, asked, 5, 0.5) for rule in alone]
                masks = [
                    sum(mask[n] << i for i, mask in enumerate(each)) for n in (0, 1)
                ]
                assert made.evaluate(row, asked, 5, 0.5) == tuple(masks)


def test_every_bad_rule_of_a_file_is_reported_with_its_line_and_a_caret() -> None:
    text = """version: 1
name: two mistakes
thresholds: {default: {}}
lists:
  blocked: {field: card, then: decline, reason_code: OFTEN, entries: []}
rules:
  - {id: unused, when: "score >", then: review, reason_code: OFTEN, mode: off}
  - id: first
    when: features.card_cuont_1h > 5.0
    then: review
    reason_code: OFTEN
  - id: second
    when: |
      features.amount > 5.0
      && features.amount > 6
    then: review
    reason_code: OFTEN
default: {reason_code: OFTEN}
approved: OFTEN
reasons: {OFTEN: It was seen too often.}
"""
    with pytest.raises(BadArtifact) as refused:
        load_policy(text, catalogue=default_catalogue(), name="p.yaml")
    assert str(refused.value).splitlines() == [
        (
            "p.yaml:9: rules.1 (first).when: 'card_cuont_1h' is not a feature; "
            "did you mean 'card_count_1h'?"
        ),
        "    features.card_cuont_1h > 5.0",
        "             ^",
        (
            "p.yaml:15: rules.2 (second).when: '>' takes numbers of one kind, "
            "features are decimal: write 6.0"
        ),
        "    && features.amount > 6",
        "                       ^",
    ]


def test_hostile_texts_in_a_rule_stay_texts() -> None:
    hostile = '\');raise SystemExit#\x00\n"""é'
    escaped = hostile.replace('"', '\\"').replace("\n", "\\n").replace("\x00", "\\0")
    escaped = escaped.replace("\\0", "\\u0000")
    made = program(
        f'transaction.attributes.note == "{escaped}"', "transaction.card in ['\\\\']"
    )
    noted = Transaction("default", "t1", card="c", attributes={"note": hostile})
    assert made.evaluate([0.0] * 3, noted, 0, 0.0) == (1, 0)
    slashed = Transaction("default", "t1", card="\\", attributes={"note": "n"})
    assert made.evaluate([0.0] * 3, slashed, 0, 0.0) == (2, 0)


def test_a_witness_is_the_comparison_that_was_true_under_or_and_not() -> None:
    made = program(
        "!(features.count_1h <= 5.0) && transaction.card != 'x'",
        "features.count_1h > 50.0 || features.sum_1d >= limits.attempts * 2.0",
        "limits.attempts < features.count_1h + features.sum_1d",
        "features.ratio > 1.0 && features.count_1h < 9.0",
    )
    row = [7.0, 12.0, 3.0]
    assert made.evaluate(row, card("c1"), 0, 0.0) == (0b1111, 0)
    witnesses = [witness(row, card("c1"), 0, 0.0) for witness in made.witness]
    assert witnesses == [
        ("count_1h", 7.0, 5.0),
        ("sum_1d", 12.0, 10.0),
        ("count_1h", 19.0, 5.0),
        None,
    ]


def card(token: str) -> Transaction:
    return Transaction("default", "t1", card=token)
