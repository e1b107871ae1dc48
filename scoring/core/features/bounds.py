"""Between which numbers a known value lies, as far as its definition tells."""

from __future__ import annotations

from math import ceil, floor, inf, nextafter
from typing import NamedTuple

from scoring.core.transaction.fields import Field, FieldType

_HUGE = 1e38  # nobody meant such a number


class Bounds(NamedTuple):
    """The least and the largest number that a value can be; both are possible.

    `whole` says that it is never a fraction.
    """

    low: float = -inf
    high: float = inf
    whole: bool = False

    @property
    def empty(self) -> bool:
        """Whether no number lies within."""
        return self.low > self.high

    def held(self, operator: str, other: Bounds) -> Bounds:
        """What is left of these where they compare so with a number of the others.

        >>> Bounds(0, 10, whole=True).held(">", Bounds(3.5, 3.5))
        Bounds(low=4, high=10, whole=True)
        >>> Bounds(0, 1).held(">=", Bounds(2, 3)).empty
        True
        """
        low, high = self.low, self.high
        if operator in {">", ">=", "=="}:
            low = max(low, self._from(other.low, above=operator == ">"))
        if operator in {"<", "<=", "=="}:
            high = min(high, self._to(other.high, below=operator == "<"))
        if operator == "!=" and other.low == other.high:
            low = self._from(low, above=low == other.low)
            high = self._to(high, below=high == other.high)
        return Bounds(low, high, self.whole)

    def computed(self, operator: str, other: Bounds) -> Bounds:
        """The bounds of a sum, difference or product; `operator` is + - or *.

        >>> Bounds(1, 2).computed("-", Bounds(0, 5))
        Bounds(low=-4, high=2, whole=False)
        """
        whole = self.whole and other.whole
        if operator == "+":
            return Bounds(self.low + other.low, self.high + other.high, whole)
        if operator == "-":
            return Bounds(self.low - other.high, self.high - other.low, whole)
        ends = [a * b for a in self[:2] for b in other[:2]]
        return Bounds(min(ends), max(ends), whole)

    def around(self, other: Bounds) -> Bounds:
        """The bounds of what lies within these or within the others."""
        whole = self.whole and other.whole
        return Bounds(min(self.low, other.low), max(self.high, other.high), whole)

    def __str__(self) -> str:
        span = f"between {self.low:.15g} and {self.high:.15g}"
        if self.high >= _HUGE:
            span = f"at {self.low:.15g} or above"
        return f"{span}, in whole numbers" if self.whole else span

    def _from(self, number: float, *, above: bool) -> float:
        """The least number from another on, or above it."""
        if not self.whole or abs(number) == inf:
            return nextafter(number, inf) if above else number
        return floor(number) + 1 if above else ceil(number)

    def _to(self, number: float, *, below: bool) -> float:
        if not self.whole or abs(number) == inf:
            return nextafter(number, -inf) if below else number
        return ceil(number) - 1 if below else floor(number)


ANY = Bounds()
FLAG = Bounds(0, 1, whole=True)
SHARE = Bounds(0, 1)
COUNT = Bounds(0, whole=True)
POSITIVE = Bounds(0)
# Of what statistics count and measure, by their units; of any other nothing is known.
BY_UNIT = {
    "flag": FLAG,
    "share": SHARE,
    "transactions": COUNT,
    "counterparts": COUNT,
    "ratio": POSITIVE,
    "seconds": POSITIVE,
    "km/h": POSITIVE,
    "minor units of the reference currency": POSITIVE,
}


def known_between(field: Field) -> Bounds:
    """The bounds of a payment's own number, where it is known.

    >>> from scoring.core.transaction.transaction import FIELD_OF
    >>> known_between(FIELD_OF["attempt"])
    Bounds(low=1, high=1000, whole=True)
    """
    low = field.low
    if field.absent == 0 and not field.required:
        low = max(low, 1)  # 0 is "not known"
    reals = {FieldType.REAL, FieldType.NUMBERS}
    return Bounds(low, field.high, whole=field.type not in reals)
