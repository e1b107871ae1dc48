"""How an entity's columns stand in the bytes of one stored record."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.definition import RATE_SCALE
from scoring.core.features.statistic import Column, Kind
from scoring.core.transaction.transaction import AMOUNT_MINOR_MAX

COORDINATES = frozenset({"latitude", "longitude"})
EVERY = Column(Kind.COUNT)  # the record's own running count
HEAD_FIELDS = 4
_HEAD, _HEAD_BYTES = ">I6I4I4I4", 18  # time, id hash, running count
_CHECK, _CHECK_BYTES = "I3", 3
_LAYOUT: dict[Kind, tuple[str, str, int]] = {  # kind in Lua, format, bytes
    Kind.COUNT: ("add", "I4", 4),
    Kind.SUM: ("sum", "I4I6", 10),
    Kind.MAX: ("max", "i7I2", 9),  # narrower where no amount can need it
    Kind.COUNTERPART: ("hash", "I6", 6),
    Kind.LAST: ("last", "I6", 6),  # a coordinate is a double
    Kind.FIRST: ("first", "I6", 6),
    Kind.NORMAL_COUNT: ("normal", "i4", 4),
    Kind.NORMAL_SUM: ("normal", "I4I6", 10),
    Kind.NORMAL_HIGH: ("normal", "I4I6", 10),
    Kind.NORMAL_LOW: ("normal", "I4I6", 10),
    Kind.UNUSUAL: ("normal", "I4", 4),
}
# A sum has two limbs, of 32 and 48 bits: over a hundred times what 10^9 payments of the
# largest amount come to. In an earlier release it had one.
_TWO_LIMBS, _ONE_LIMB = ("I4I6", 10), ("i7", 7)
_NARROW = ("i6I2", 8)
_NARROW_MAX = 1 << 47
_NONE = -(1 << 53)  # no value in a maximum's column; below any measure
_REAL = ("d", 8)
_NOWHERE = 1e9  # no coordinate


class RecordLayout:
    """The numbers of a record, in order, and their bytes; places are from 1."""

    def __init__(self, plan: EntityPlan, catalogue: Catalogue) -> None:
        self._all = plan.columns
        self._columns = [c for c in plan.columns if c != EVERY]
        highest = AMOUNT_MINOR_MAX * max(catalogue.rates.values()) // RATE_SCALE
        self._narrow = highest < _NARROW_MAX

    @cached_property
    def places(self) -> dict[Column, int]:
        """The position of each column's first number in an unpacked record."""
        places: dict[Column, int] = {}
        at = HEAD_FIELDS + 1
        for column in self._all:
            if column == EVERY:
                places[column] = HEAD_FIELDS
                continue
            places[column] = at
            at += len(self._zero(column))
        return places

    def table(self) -> dict[str, Any]:
        """What the Lua program needs to know of a whole record."""
        stored = [self._stored(c) for c in self._columns]
        zeros = [v for c in self._columns for v in self._zero(c)]
        return {
            "size": _size(stored),
            "width": HEAD_FIELDS + len(zeros),
            "format": _format(stored),
            "zero": [*[0] * HEAD_FIELDS, *zeros, 0],
            "reals": [p for c, p in self.places.items() if self._stored(c) == _REAL],
            "earlier": self._earlier(),
        }

    def _earlier(self) -> dict[str, Any]:
        """The records of releases that kept a sum in one limb: read, and rewritten."""
        stored, sums, reals = [], [0] * HEAD_FIELDS, []
        for column in self._columns:
            if self._stored(column) == _REAL:
                reals.append(len(sums) + 1)
            is_sum = self.is_sum(column)
            stored.append(_ONE_LIMB if is_sum else self._stored(column))
            sums += [1] if is_sum else [0] * len(self._zero(column))
        return {
            "size": _size(stored),
            "width": len(sums),
            "format": _format(stored),
            "sums": sums,
            "reals": reals,
        }

    def where(self, column: Column) -> dict[str, Any]:
        """Where a column's bytes stand in a record, and what none looks like."""
        before = self._all[: self._all.index(column)]
        return {
            "offset": _HEAD_BYTES + 1 + sum(self._stored(c)[1] for c in before),
            "format": ">" + self._stored(column)[0],
            "none": self._zero(column)[0],
        }

    def kind(self, column: Column) -> str:
        """How the Lua program carries a column on."""
        return "all" if column == EVERY else _LAYOUT[column.kind][0]

    def is_sum(self, column: Column) -> bool:
        """Whether it has two limbs."""
        return self._stored(column) == _TWO_LIMBS

    def _stored(self, column: Column) -> tuple[str, int]:
        """The format of a column in a record, and its bytes."""
        if column == EVERY:
            return "", 0
        if column.kind is Kind.MAX and self._narrow:
            return _NARROW
        if column.kind is Kind.LAST and column.measure in COORDINATES:
            return _REAL
        return _LAYOUT[column.kind][1:]

    def _zero(self, column: Column) -> tuple[float, ...]:
        """What stands in a column where nothing is known, number by number."""
        if column.kind is Kind.MAX:  # and its link
            return (-_NARROW_MAX if self._narrow else _NONE, 0)
        if self.is_sum(column):
            return (0, 0)
        return (_NOWHERE,) if self._stored(column) == _REAL else (0,)


def _size(stored: list[tuple[str, int]]) -> int:
    return _HEAD_BYTES + sum(size for _, size in stored) + _CHECK_BYTES


def _format(stored: list[tuple[str, int]]) -> str:
    return _HEAD + "".join(format_ for format_, _ in stored) + _CHECK
