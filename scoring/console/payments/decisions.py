"""A recorded decision, as its page shows it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from scoring import client
from scoring.console.policy_text import policy_in, rules_in
from scoring.console.words import word_in
from scoring.core.transaction.transaction import Transaction
from scoring.errors import ScoringError
from scoring.v1 import decision_pb2 as decisions
from scoring.v1 import transaction_pb2 as transactions
from scoring.v1.decision_pb2 import Decision
from scoring.v1.fraud_scoring_pb2 import ExplainDecisionResponse, GetDecisionResponse
from scoring.wire.decision_json import FeatureNames

_NAMED = re.compile(r"\b(features|transaction|limits)\.([a-z][a-z0-9_]*)")
NOT_HERE = "not known here"
# An explanation may have to load a model first.
_EXPLAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class ServicePayments:
    """Decisions as a running service finds them."""

    service: client.Client

    def decision_of(self, tenant: str, transaction_id: str) -> GetDecisionResponse:
        """See `DecidedPayments`."""
        return self.service.life(transaction_id, tenant=tenant)

    def explanation_of(
        self, tenant: str, transaction_id: str
    ) -> ExplainDecisionResponse:
        """See `DecidedPayments`."""
        return self.service.explanation(
            transaction_id, tenant=tenant, timeout_s=_EXPLAIN_S
        )

    def asked_again(
        self, payments: Sequence[Transaction]
    ) -> list[Decision | ScoringError]:
        """See `DecidedPayments`."""
        return self.service.check_many(payments, dry_run=True)


@dataclass(frozen=True, slots=True)
class CatalogueNames:
    """Features by the names of our own definitions."""

    catalogue: FeatureNames

    def names_of(self, decision: Decision) -> list[str] | None:
        """See `VectorNames`: names are never guessed."""
        if decision.core.versions.features != self.catalogue.version:
            return None
        names = list(self.catalogue.names)
        return names if len(names) == len(decision.core.features) else None


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """A feature's value; None where it was not known."""

    name: str
    value: float | None
    inexact: bool


def features_of(decision: Decision, names: Sequence[str] | None) -> list[FeatureValue]:
    """Features by their names; none where those are not known."""
    core = decision.core
    inexact = set(core.inexact_features)
    pairs = zip(names or (), core.features, strict=False)
    return [
        FeatureValue(name, None if math.isnan(value) else value, name in inexact)
        for name, value in pairs
    ]


@dataclass(frozen=True, slots=True)
class RuleSeen:
    """A rule that held or was unknown: its condition, and what that was asked of."""

    rule: str
    asks_for: str
    mode: str
    unknown: bool
    when: str
    observed: tuple[tuple[str, str], ...]


def rules_seen(
    hits: Sequence[decisions.RuleHit],
    conditions: Mapping[str, str],
    values: Mapping[str, str],
) -> list[RuleSeen]:
    """Each with the values of what its condition names, or that nobody knows them."""
    return [
        RuleSeen(
            hit.rule,
            word_in(decisions.Outcome, hit.outcome),
            word_in(decisions.RuleMode, hit.mode),
            hit.unknown,
            conditions.get(hit.rule, ""),
            tuple(
                (name, values.get(name, _unknown(name, values)))
                for name in named_in(conditions.get(hit.rule, ""))
            ),
        )
        for hit in hits
    ]


def _unknown(name: str, values: Mapping[str, str]) -> str:
    """Whether a value was unknown to the rule, or its value is not known here."""
    room = name.partition(".")[0]
    return (
        "unknown" if any(each.startswith(f"{room}.") for each in values) else NOT_HERE
    )


def named_in(condition: str) -> list[str]:
    """Features, fields and limits that a condition names, in its order, each once.

    >>> named_in("features.card_count_1h > limits.card && has(transaction.device)")
    ['features.card_count_1h', 'limits.card', 'transaction.device']
    """
    return list(dict.fromkeys(found[0] for found in _NAMED.finditer(condition)))


@dataclass(frozen=True, slots=True)
class PolicyWords:
    """What a policy's text says of its rules and limits, as people read it."""

    conditions: Mapping[str, str]
    limits: Mapping[str, str]


def words_of(text: str) -> PolicyWords:
    """The condition of each rule by its id, and each limit by its name.

    >>> read = words_of("{limits: {a: {default: 5}}, rules: [{id: r, when: 'x > 1'}]}")
    >>> read.conditions, read.limits
    ({'r': 'x > 1'}, {'limits.a': '5'})
    """
    policy = policy_in(text)
    limits = policy.get("limits")
    return PolicyWords(
        {
            str(rule["id"]): str(rule.get("when", "")).strip()
            for rule in rules_in(policy)
        },
        {
            f"limits.{name}": _limit(limit)
            for name, limit in (limits if isinstance(limits, dict) else {}).items()
            if isinstance(limit, dict)
        },
    )


def _limit(limit: Mapping[str, Any]) -> str:
    segments = limit.get("segments") or ()
    told = f"{limit.get('default', 'unknown')}"
    return f"{told}, or its segment's" if segments else told


def values_of(
    features: Sequence[FeatureValue], payment: transactions.Transaction | None
) -> dict[str, str]:
    """What conditions name, with its value as people read it."""
    values = {
        f"features.{each.name}": f"{each.value:.6g}"
        for each in features
        if each.value is not None
    }
    if payment is not None:
        values |= {f"transaction.{name}": value for name, value in fields_of(payment)}
    return values


def fields_of(payment: transactions.Transaction) -> Iterator[tuple[str, str]]:
    """The fields of a payment that say something, as people read them.

    >>> list(fields_of(transactions.Transaction(id="t1", attributes={"b": "2"})))
    [('id', 't1'), ('attributes.b', '2')]
    """
    said = MessageToDict(payment, preserving_proto_field_name=True)
    for name, value in said.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", str(part)) for key, part in value.items())
        else:
            yield name, str(value)
