"""Follows the decisions topic, for a person who looks on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from scoring.core.decision.decision import Outcome
from scoring.core.transaction.codes import CURRENCY_DIGITS
from scoring.core.transaction.fields import FieldType, Role
from scoring.core.transaction.transaction import FIELDS
from scoring.kafka.record_values import message_in
from scoring.kafka.startup_errors import reader
from scoring.v1 import decision_pb2, transaction_pb2

# What a segment may be of: a category that payments carry themselves.
SEGMENTS = {field.name: field for field in FIELDS if field.role is Role.CATEGORY}
_NAMING = ("id", *(field.path for field in FIELDS if field.role is Role.ENTITY))


@dataclass(frozen=True, slots=True, kw_only=True)
class TailFilter:
    """Which decisions to show; everything where nothing is said."""

    outcomes: frozenset[Outcome] = frozenset()
    score_min: float = 0.0
    entity: str = ""
    reason: str = ""
    rule: str = ""  # held, or left unknown; shadow rules too
    merchant: str = ""
    amount_min: float = 0.0  # in units of the payment's own currency
    segment: tuple[str, str] = ("", "")  # one of SEGMENTS, and what it is

    def has(self, decision: decision_pb2.Decision) -> bool:
        """Whether a decision is wanted.

        >>> one = decision_pb2.Decision()
        >>> hit = one.core.rule_hits.add(rule="card_velocity")
        >>> TailFilter().has(one), TailFilter(reason="CARD_VELOCITY").has(one)
        (True, False)
        >>> TailFilter(rule="card_velocity").has(one)
        True
        >>> TailFilter(merchant="shop-1").has(one)
        False
        """
        core, payment = decision.core, decision.transaction
        if self.outcomes and Outcome(core.outcome) not in self.outcomes:
            return False
        if core.score < self.score_min:
            return False
        if self.reason and self.reason not in {r.code for r in core.reasons}:
            return False
        if self.rule and self.rule not in {hit.rule for hit in core.rule_hits}:
            return False
        if self.merchant and self.merchant != payment.merchant:
            return False
        if self.segment[0] and not _lies_in(payment, *self.segment):
            return False
        if self.amount_min and not _amounts_to(payment, self.amount_min):
            return False
        named = (getattr(payment, name) for name in _NAMING)
        return not self.entity or self.entity in named


def _lies_in(payment: transaction_pb2.Transaction, name: str, value: str) -> bool:
    """Whether a payment is of a segment: a category of it is a value, of any case.

    >>> payment = transaction_pb2.Transaction(card_country="DE", channel=2)
    >>> _lies_in(payment, "channel", "ecommerce"), _lies_in(payment, "channel", "")
    (True, False)
    >>> _lies_in(payment, "card_country", "de")
    True
    """
    field = SEGMENTS[name]
    said = getattr(payment, name)
    if field.type is FieldType.NAME:
        said = field.member_names.get(said, "")
    return bool(said.casefold() == value.casefold())


def _amounts_to(payment: transaction_pb2.Transaction, amount_min: float) -> bool:
    """Whether a payment's amount is known and as large.

    >>> payment = transaction_pb2.Transaction(amount_minor=1999, currency="EUR")
    >>> _amounts_to(payment, 19.99), _amounts_to(payment, 20.0)
    (True, False)
    """
    if not payment.HasField("amount_minor"):
        return False
    digits = CURRENCY_DIGITS.get(payment.currency, 0)
    least: int = round(amount_min * 10**digits)
    return payment.amount_minor >= least


async def decisions(
    bootstrap: str,
    topic: str,
    *,
    options: Mapping[str, Any],
    fetch_wait_ms: int,
    from_beginning: bool,
) -> AsyncGenerator[decision_pb2.Decision, None]:
    """Every decision as it is appended; raises `LogUnavailable`."""
    async with reader(
        bootstrap,
        options,
        topic,
        auto_offset_reset="earliest" if from_beginning else "latest",
        fetch_max_wait_ms=fetch_wait_ms,
    ) as consumer:
        async for record in consumer:
            decision = message_in(record, decision_pb2.Decision)
            if decision is not None:
                yield decision
