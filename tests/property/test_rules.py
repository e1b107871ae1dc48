"""The generated function holds what Google's CEL evaluator holds, missing included."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import numpy as np
from cel_expr_python import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.policy.rules.check import _environment
from scoring.core.policy.rules.inputs import MEMBERS, Schema
from scoring.core.policy.rules.problem import RuleProblem
from scoring.core.policy.rules.program import Bindings, Clause, compiled
from scoring.core.transaction.transaction import Transaction

FEATURES = ("card_count_1h", "card_sum_1d", "ratio", "is_new")
LIMITS = {"attempts": 5.0, "ticket_minor": 20_000}
LISTS = {"blocked": ("card-1", "card-2"), "risky": ("7995", "DE", 'a"b\\')}
TEXTS = ("card", "merchant_category", "card_country", "merchant_country")
TOKENS = ("card-1", "card-9", "7995", "DE", "FR", 'a"b\\', "x'); drop", "é\n")
ALWAYS = 2**62
TESTS = ("startsWith", "endsWith", "contains")

features = st.sampled_from([f"features.{name}" for name in FEATURES])
reals = st.sampled_from([0.0, 1.0, 5.0, 0.1, -2.5, 1e6, 33.3]).map(repr)
integers = st.sampled_from([0, 1, 3, 20_000, -7, 10**13]).map(str)
texts = st.sampled_from([f"transaction.{name}" for name in TEXTS])
literals = st.sampled_from(TOKENS).map(
    lambda t: (
        '"' + t.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    )
)

parts = st.sampled_from(["card", "-1", "E", "é", "'"]).map(lambda t: f'"{t}"')


def sums(leaf: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(leaf, st.sampled_from("+-*"), leaf)
    return leaf | pairs.map(lambda p: f"({p[0]} {p[1]} {p[2]})")


real_terms = sums(features | st.sampled_from(["score", "limits.attempts"])) | st.tuples(
    features, st.sampled_from("+-*"), reals
).map(lambda p: f"{p[0]} {p[1]} ({p[2]})")
integer_fields = st.sampled_from(["transaction.amount_minor", "transaction.attempt"])
integer_terms = integer_fields | st.just("limits.ticket_minor")
numeric = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
atoms = st.one_of(
    st.tuples(real_terms, numeric, real_terms | reals).map(" ".join),
    st.tuples(integers, numeric, integer_terms).map(" ".join),
    st.tuples(integer_terms, st.just("-"), integers, numeric, integer_terms).map(
        lambda p: f"{p[0]} - ({p[2]}) {p[3]} {p[4]}"
    ),
    st.tuples(texts, st.sampled_from(["==", "!="]), texts | literals).map(" ".join),
    st.tuples(texts, st.sampled_from([f"lists.{n}" for n in LISTS])).map(" in ".join),
    st.tuples(texts, st.lists(literals, min_size=1, max_size=3)).map(
        lambda p: f"{p[0]} in [{', '.join(p[1])}]"
    ),
    st.tuples(texts, st.sampled_from(TESTS), texts | parts).map(
        lambda p: f"{p[0]}.{p[1]}({p[2]})"
    ),
    st.tuples(texts, numeric, st.sampled_from("1347")).map(
        lambda p: f"size({p[0]}) {p[1]} {p[2]}"
    ),
    st.sampled_from(['transaction.channel == "ECOMMERCE"', "true", "false"]),
    st.sampled_from(
        [
            'transaction.attributes["k"] == "v"',
            "has(transaction.attributes.k)",
            'transaction.numbers["k"] > 0.5',
            "has(transaction.numbers.k)",
            "transaction.numbers.k != transaction.numbers.l",
        ]
    ),
    (features | texts | integer_fields).map(lambda name: f"has({name})"),
)
rules = st.recursive(
    atoms,
    lambda inner: st.one_of(
        inner.map(lambda rule: f"!({rule})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
            lambda p: f"({p[0]} {p[1]} {p[2]})"
        ),
    ),
    max_leaves=8,
)
maybe_number = st.none() | st.sampled_from([0.0, 1.0, 5.0, 6.0, 0.1, 1e6, -2.5])
rows = st.fixed_dictionaries(
    {
        "features": st.tuples(*[maybe_number] * len(FEATURES)),
        "score": st.none() | st.sampled_from([0.0, 0.1, 1.0]),
        "texts": st.tuples(*[st.just("") | st.sampled_from(TOKENS)] * len(TEXTS)),
        "amount": st.none() | st.sampled_from([0, 1, 20_000, 10**13]),
        "attempt": st.sampled_from([0, 1, 3]),
        "channel": st.sampled_from([0, 2, 3]),
        "attribute": st.sampled_from(["", "v", "w"]),
        "numbers": st.dictionaries(st.sampled_from("kl"), st.sampled_from([0.0, 1.5])),
    }
)


def transaction_of(row: dict[str, Any]) -> Transaction:
    return Transaction(
        "default",
        "t1",
        attempt=row["attempt"],
        amount_minor=row["amount"],
        channel=row["channel"],
        attributes={"k": row["attribute"]} if row["attribute"] else {},
        numbers=row["numbers"],
        **dict(zip(TEXTS, row["texts"], strict=True)),
    )


def vector_of(row: dict[str, Any]) -> list[float]:
    values = [nan if value is None else value for value in row["features"]]
    return np.array(values, dtype=np.float32).tolist()


def activation_of(row: dict[str, Any]) -> dict[str, Any]:
    """The row as maps without the keys of what is missing: CEL then raises."""
    known = {
        name: value
        for name, value in zip(FEATURES, vector_of(row), strict=True)
        if not isnan(value)
    }
    attributes = {"k": row["attribute"]} if row["attribute"] else {}
    fields: dict[str, Any] = {
        "attributes": attributes,
        "numbers": row["numbers"],
        **{k: v for k, v in zip(TEXTS, row["texts"], strict=True) if v},
    }
    if row["amount"] is not None:
        fields["amount_minor"] = row["amount"]
    if row["attempt"]:
        fields["attempt"] = row["attempt"]
    if row["channel"]:
        fields["channel"] = MEMBERS["channel"][row["channel"]]
    lists = {name: list(tokens) for name, tokens in LISTS.items()}
    bound: dict[str, Any] = {
        "transaction": fields,
        "features": known,
        "limits": LIMITS,
        "lists": lists,
    }
    if row["score"] is not None:
        bound["score"] = row["score"]
    return bound


def by_google(text: str, row: dict[str, Any]) -> bool | None:
    """True, False, or None where the evaluator raises for what is missing."""
    value = _environment().compile(text).eval(data=activation_of(row))
    return None if value.type() == cel.Type.ERROR else bool(value.value())


@given(st.lists(rules, min_size=1, max_size=6), st.lists(rows, min_size=1, max_size=6))
@settings(deadline=None)
def test_random_rules_on_random_rows_agree_with_google_cel_on_true_false_and_unknown(
    texts: list[str], inputs: list[dict[str, Any]]
) -> None:
    dynamic = {"attempts": None, "ticket_minor": 20_000}
    schema = Schema(FEATURES, frozenset(FEATURES), dynamic, dict.fromkeys(LISTS, ()))
    bindings = Bindings(
        {"attempts": lambda _: 5.0},
        {name: dict.fromkeys(tokens, ALWAYS) for name, tokens in LISTS.items()},
    )
    program, problems = compiled([Clause(text) for text in texts], schema, bindings)
    refused = {i for i, _ in problems}
    fair = ("overflow", "constants", "never", "always", "itself")
    assert all(any(word in p.message for word in fair) for _, p in problems)
    for row in inputs:
        arguments = (vector_of(row), transaction_of(row), 0, row["score"] or 0.0)
        if row["score"] is None:
            arguments = (*arguments[:3], nan)
        hits, unknowns = program.evaluate(*arguments)
        for i, text in enumerate(texts):
            if i in refused:
                continue
            ours = None if unknowns >> i & 1 else bool(hits >> i & 1)
            assert ours == by_google(text, row), text
            if ours:
                _holds_above_its_limit(program.witness[i](*arguments))


def _is_as_constant_as_they_say(
    texts: list[str],
    row: dict[str, Any],
    always: frozenset[int],
    problems: list[tuple[int, RuleProblem]],
) -> None:
    for i in always:
        assert by_google(texts[i], row) is not False, texts[i]
    for i, problem in problems:
        part = "||" in texts[i] or "!(" in texts[i]  # else the whole rests on it
        if "never holds" in problem.message and not part:
            assert by_google(texts[i], row) is not True, texts[i]


def _holds_above_its_limit(witness: tuple[str, float, float] | None) -> None:
    if witness:
        feature, observed, limit = witness
        assert feature in FEATURES
        assert observed >= limit
