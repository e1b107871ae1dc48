"""Payments added up by what they turned out to be: counts, money, estimates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Money = dict[str, int]  # minor units by currency: currencies are never added up


class PaymentClass(Enum):
    """What became of a payment, as far as it is known.

    `ASSUMED` was accepted, and nothing was heard of it for as long as labels usually
    take; `DECLINED` was refused by us, so that nothing can be heard of it; `PENDING`
    is younger than labels usually take; of `UNKNOWN` nothing is known for another
    reason, such as a step-up that was not passed.
    """

    FRAUD = "fraud"
    REFUNDED = "refunded"
    LEGITIMATE = "legitimate"
    ASSUMED = "assumed_legitimate"
    DECLINED = "declined_by_us"
    PENDING = "not_yet_labelled"
    UNKNOWN = "unknown"


GENUINE = (
    PaymentClass.LEGITIMATE,
    PaymentClass.ASSUMED,
)  # a refusal of which is a false one


@dataclass(slots=True)
class PaymentSum:
    """Payments of one kind.

    `reference_minor` is their amount in the reference currency, where it is known;
    `weight` how many payments they are evidence of: one each, but for a let-through
    payment, which is evidence of all that had its chance.
    """

    count: int = 0
    amounts: Money = field(default_factory=dict)
    reference_minor: int = 0
    weight: float = 0.0
    weighted_minor: float = 0.0

    def add(self, other: PaymentSum) -> None:
        """Take in the payments of another tally."""
        self.count += other.count
        self.reference_minor += other.reference_minor
        self.weight += other.weight
        self.weighted_minor += other.weighted_minor
        for currency, minor in other.amounts.items():
            self.amounts[currency] = self.amounts.get(currency, 0) + minor


@dataclass(slots=True)
class Slice:
    """Some decisions, by what they turned out to be."""

    tallies: dict[PaymentClass, PaymentSum] = field(default_factory=dict)

    def of(self, *truths: PaymentClass) -> PaymentSum:
        """The payments that turned out to be one of these."""
        return _sum(self.tallies[t] for t in truths if t in self.tallies)

    @property
    def all(self) -> PaymentSum:
        """All payments."""
        return self.of(*PaymentClass)

    @property
    def count(self) -> int:
        """How many payments."""
        return self.all.count

    @property
    def frauds(self) -> int:
        """How many were fraud."""
        return self.of(PaymentClass.FRAUD).count

    @property
    def legitimate(self) -> int:
        """How many were not."""
        return self.of(*GENUINE).count

    @property
    def amounts(self) -> Money:
        """The amount of all, by currency."""
        return self.all.amounts

    @property
    def fraud_amounts(self) -> Money:
        """The amount of what was fraud, by currency."""
        return self.of(PaymentClass.FRAUD).amounts

    @property
    def legitimate_amounts(self) -> Money:
        """The amount of what was not, by currency."""
        return self.of(*GENUINE).amounts

    @property
    def precision(self) -> float | None:
        """The share of fraud among what is labelled, by weight; None where none is.

        >>> Slice({PaymentClass.FRAUD: PaymentSum(1, weight=1.0)}).precision
        1.0
        """
        frauds, genuine = self.of(PaymentClass.FRAUD).weight, self.of(*GENUINE).weight
        return frauds / (frauds + genuine) if frauds + genuine else None

    @property
    def false_positives_per_fraud(self) -> float | None:
        """Legitimate payments for each fraud, by weight; None where there is no fraud.

        >>> ours = {PaymentClass.FRAUD: PaymentSum(2, weight=2.0)}
        >>> ours[PaymentClass.ASSUMED] = PaymentSum(5, weight=5.0)
        >>> Slice(ours).false_positives_per_fraud
        2.5
        """
        frauds = self.of(PaymentClass.FRAUD).weight
        return self.of(*GENUINE).weight / frauds if frauds else None

    def add(self, other: Slice) -> None:
        """Take in the decisions of another slice."""
        for truth, tally in other.tallies.items():
            self.tallies.setdefault(truth, PaymentSum()).add(tally)


def _sum(parts: Iterable[PaymentSum]) -> PaymentSum:
    whole = PaymentSum()
    for part in parts:
        whole.add(part)
    return whole


def sum_of(parts: Iterable[Slice]) -> Slice:
    """All payments of some slices together."""
    whole = Slice()
    for part in parts:
        whole.add(part)
    return whole


def slices(con: Any, relation: str, key: str) -> dict[Any, Slice]:
    """The decisions of a relation, by a SQL expression over its columns.

    What is not labelled there is `UNKNOWN`.
    """
    found: dict[Any, Slice] = {}
    rows = con.execute(
        f"""SELECT {key} AS key, CASE WHEN fraud THEN 'fraud'
                WHEN NOT fraud THEN 'legitimate' ELSE 'unknown' END AS truth,
            coalesce(currency, '') AS currency, count(*),
            coalesce(sum(amount_minor), 0)
        FROM {relation} GROUP BY ALL ORDER BY ALL"""  # noqa: S608 fixed text
    ).fetchall()
    for value, truth, currency, count, minor in rows:
        money = {currency: int(minor)} if minor else {}
        tally = PaymentSum(count, money, weight=float(count))
        found.setdefault(value, Slice()).add(Slice({PaymentClass(truth): tally}))
    return found
