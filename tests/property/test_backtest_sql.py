"""The SQL of a policy decides every row as the online program does, what lacks too."""

from __future__ import annotations

import json
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import pyarrow as pa
from backtest_parts import judged_rows, paid_table
from hypothesis import given
from hypothesis import strategies as st
from test_rules import LIMITS, LISTS, rules

from scoring.backtest.managed import KnownLists, ManagedTokens
from scoring.backtest.side import Judging, Side
from scoring.backtest.source import JudgedSpan
from scoring.backtest.trial import Trial
from scoring.core.decision.decision import Degradation, DegradationCode
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy import policy as policies
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.policy_file import PolicyFile
from scoring.core.policy.rules.program import compiled
from scoring.core.release.list_release import FOREVER_MS, token_hash
from scoring.core.transaction.transaction import Transaction
from scoring.training.sql import connect

CATALOGUE = default_catalogue()
NAMES = {"ratio": "customer_ratio", "is_new": "customer_new_device"}
FEATURES = ("card_count_1h", "card_sum_1d", *NAMES.values())
AT_MS = 1_700_000_000_000
KEPT = ("risky",)  # of the lists: managed, so that its tokens are no part of a policy
DAYS = (
    "2023-11-14T22:13:19.999Z",
    "2023-11-14T22:13:20.000Z",
    "2023-11-14T22:13:20.001Z",
)
OUTCOMES = ("approve", "challenge", "review", "decline")
REASONS = {
    "NOT_SCORED": "The payment could not be scored.",
    "NO_RISK_FOUND": "Nothing unusual was found.",
    "HELD": "The rule held for the payment.",
    "UNSEEN": "The rule could not be asked at all.",
}

wheres = st.fixed_dictionaries(
    {},
    optional={
        "merchant_category": st.sampled_from(["7995", "5411", ["5812", "7995"]]),
        "channel": st.sampled_from(["ECOMMERCE", "ATM"]),
        "card_country": st.sampled_from(["DE", "FR"]),
        "email_domain": st.just("example.com"),
        "attributes.k": st.sampled_from(["v", "it's"]),
        "amount_minor_from": st.sampled_from([1, 500]),
        "amount_minor_below": st.sampled_from([20_000, 900]),
    },
).filter(bool)
times = st.sampled_from([None, *DAYS])


def segments_of(count: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Segments, none of which stands twice: the second would be refused."""
    return st.lists(wheres, max_size=count, unique_by=repr_of)


def repr_of(where: dict[str, Any]) -> str:
    return json.dumps(where, sort_keys=True)


@st.composite
def policy_rules(draw: st.DrawFn, index: int) -> dict[str, Any]:
    text = draw(rules)
    for short, name in NAMES.items():
        text = text.replace(f"features.{short}", f"features.{name}")
    rule = {
        "id": f"rule_{index}",
        "when": text,
        "then": draw(st.sampled_from(OUTCOMES)),
        "reason_code": "HELD",
        "priority": draw(st.sampled_from([0, 0, 5])),
        "mode": draw(st.sampled_from(["enforce", "enforce", "shadow"])),
        "on_missing": draw(st.sampled_from(["no_match", *OUTCOMES])),
        "missing_reason_code": "UNSEEN",
    }
    if draw(st.booleans()):
        rule["rollout"] = draw(st.sampled_from([0.1, 0.5, 0.9]))
    starts, expires = draw(times), draw(times)
    if starts and (not expires or starts < expires):
        rule["starts"] = starts
    if expires and (not starts or starts < expires):
        rule["expires"] = expires
    return rule


@st.composite
def lists(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "allowed": {
            "field": "card",
            "then": "approve",
            "reason_code": "HELD",
            "entries": [{"token": "card-9", "expires": draw(times)}],
        },
        **{
            name: {
                "entries": [
                    {"token": token, "expires": draw(times)} for token in tokens
                ]
            }
            for name, tokens in LISTS.items()
            if name not in KEPT
        },
        **{name: {"managed": True} for name in KEPT},
    }


@st.composite
def kept_lists(draw: st.DrawFn) -> KnownLists:
    """Managed lists as a control plane keeps them, or as a replica does."""
    found = {}
    for name in KEPT:
        tokens, hashed = LISTS[name], draw(st.booleans())
        around = st.sampled_from([AT_MS - 1, AT_MS, AT_MS + 1])
        since = [0 if hashed else draw(around) for _ in tokens]
        until = [draw(around | st.just(FOREVER_MS)) for _ in tokens]
        keys = pa.array(
            [token_hash(token) for token in tokens] if hashed else tokens,
            pa.uint64() if hashed else pa.string(),
        )
        table = pa.table({"token": keys, "since": since, "until": until})
        found[name] = ManagedTokens(name, 7, table, hashed, dated=not hashed)
    return KnownLists(found)


def listed(lists: KnownLists) -> dict[str, dict[str, int]]:
    """What they say at `AT_MS`, as the online program asks."""
    return {
        name: {
            token: row["until"]
            for token, row in zip(LISTS[name], held.rows.to_pylist(), strict=True)
            if row["since"] <= AT_MS
        }
        for name, held in lists.lists.items()
    }


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    levels = {"challenge": 0.05, "review": 0.1, "decline": 0.9}
    segments = [
        {"where": where, draw(st.sampled_from(list(levels))): 0.07, "decline": 0.8}
        for where in draw(segments_of(3))
    ]
    return {
        "version": 1,
        "name": "any",
        "thresholds": {"default": levels, "segments": segments},
        "limits": {
            "attempts": {
                "default": LIMITS["attempts"],
                "segments": [
                    {"where": where, "limit": 0.5} for where in draw(segments_of(2))
                ],
            },
            "ticket_minor": {"default": LIMITS["ticket_minor"]},
        },
        "lists": draw(lists()),
        "rules": [draw(policy_rules(i)) for i in range(draw(st.integers(1, 5)))],
        "fallbacks": draw(fallbacks),
        "default": {
            "outcome": draw(st.sampled_from(OUTCOMES)),
            "reason_code": "NOT_SCORED",
        },
        "reasons": REASONS,
    }


codes = st.sampled_from(["too_late", "history_unavailable", "amount_unknown"])
fallbacks = st.lists(
    st.fixed_dictionaries(
        {
            "degradation": codes,
            "then": st.sampled_from([*OUTCOMES, "score"]),
            "reason_code": st.just("UNSEEN"),
        },
        optional={"where": wheres},
    ),
    max_size=4,
)
maybe_number = st.none() | st.sampled_from([0.0, 1.0, 5.0, 6.0, 0.1, 1e6])
payments = st.fixed_dictionaries(
    {
        "attempt": st.sampled_from([0, 1, 3]),
        "payment_id": st.sampled_from(["", "p1", "p2", "é"]),
        "amount_minor": st.none() | st.sampled_from([0, 1, 500, 20_000, 10**13]),
        "currency": st.sampled_from(["EUR", "USD", "XAF"]),
        "card": st.sampled_from(["", "card-1", "card-9", "x'); drop"]),
        "merchant_category": st.sampled_from(["", "7995", "5812"]),
        "card_country": st.sampled_from(["", "DE", "FR"]),
        "merchant_country": st.sampled_from(["", "DE", "FR"]),
        "channel": st.sampled_from([0, 2, 3]),
        "email": st.sampled_from(["", "a@example.com"]),
        "attributes": st.sampled_from([{}, {"k": "v"}, {"k": "it's"}]),
        "numbers": st.dictionaries(st.sampled_from("kl"), st.sampled_from([0.0, 1.5])),
    }
)
rows = st.tuples(
    payments,
    st.none() | st.tuples(*[maybe_number] * len(FEATURES)),
    st.none() | st.sampled_from([0.0, 0.05, 0.07, 0.1, 0.8, 0.9, 1.0]),
    st.lists(codes, max_size=2, unique=True),
)


def loaded(document: dict[str, Any]) -> Policy | None:
    """The policy without the rules that would be refused; None if nothing is left."""
    kept = document["fallbacks"]
    plain: set[str] = set()
    document["fallbacks"] = []
    for fallback in kept:  # what comes below one without `where` is refused
        if fallback["degradation"] not in plain:
            document["fallbacks"].append(fallback)
        if "where" not in fallback:
            plain.add(fallback["degradation"])
    file = PolicyFile.model_validate(document)
    clauses, _ = policies._clauses(file)
    program, refused = compiled(
        clauses,
        policies._schema(file, CATALOGUE),
        policies._bindings(file, CATALOGUE.amount),
    )
    first = len(clauses) - len(file.rules)
    gone = {i - first for i, _ in refused} | {i - first for i in program.always}
    document["rules"] = [
        rule for i, rule in enumerate(document["rules"]) if i not in gone
    ]
    return load_policy(json.dumps(document), catalogue=CATALOGUE, name="any.yaml")


def vector_of(values: tuple[float | None, ...] | None) -> Any:
    if values is None:
        return None
    vector = np.full(len(CATALOGUE.names), np.nan, np.float32)
    for name, value in zip(FEATURES, values, strict=True):
        vector[CATALOGUE.names.index(name)] = nan if value is None else value
    return vector


@given(st.data())
def test_random_policies_decide_random_rows_alike_in_sql_and_online(data):
    documents_of = st.lists(documents(), min_size=2, max_size=2)
    old, new = (loaded(document) for document in data.draw(documents_of))
    drawn = data.draw(st.lists(rows, min_size=1, max_size=12))
    judging = Judging(data.draw(kept_lists()))
    evidence = [
        (
            Transaction("default", f"t{i}", occurred_at_ms=AT_MS, **fields),
            Evidence(
                vector=vector_of(values),
                probability=score,
                degradations=tuple(
                    Degradation(DegradationCode[code.upper()]) for code in missing
                ),
            ),
        )
        for i, (fields, values, score, missing) in enumerate(drawn)
    ]
    with connect() as con:
        con.register("paid", paid_table(evidence))
        sides = Side("old", old, judging), Side("new", new, judging)
        trial = Trial(con, CATALOGUE, *sides, JudgedSpan(0, AT_MS + 1, AT_MS + 1, 0))
        for side in sides:
            found = judged_rows(trial, side)
            assert len(found) == len(evidence)
            for t, seen in evidence:
                masks, outcome = found[t.id]
                row = [nan] * len(CATALOGUE.names)
                row = row if seen.vector is None else seen.vector.tolist()
                score = nan if seen.probability is None else seen.probability
                policy = side.policy.with_lists(listed(judging.lists))
                program = policy.program
                assert masks == program.evaluate(row, t, AT_MS, score)
                core = decide(t, b"", policy=policy, evidence=seen)
                assert outcome == core.outcome
                assert replace(core, outcome=outcome) == core
