"""How an entity's columns are in the bytes of one stored record."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from scoring.core.features.catalogue import EntityPlan
from scoring.core.features.slot import Column, Kind
from scoring.stores.redis.formats import (
    CHECK,
    COLUMNS,
    EVENT,
    ONE_LIMB,
    REAL,
    TWO_LIMBS,
    ColumnKind,
    bytes_of,
)

COORDINATES = frozenset({"latitude", "longitude"})
EVERY = Column(Kind.COUNT)  # the record's own running count
HEAD_FIELDS = len(EVENT.fields)
_NONE = -(1 << 53)  # no value in a maximum's column; below any measure
_NOWHERE = 1e9  # no coordinate


class RecordLayout:
    """The numbers of a record, in order, and their bytes; places are from 1."""

    def __init__(self, plan: EntityPlan) -> None:
        self._all = plan.columns
        self.columns = [c for c in plan.columns if c != EVERY]

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
        zeros = [v for c in self.columns for v in self._zero(c)]
        format_ = _format(map(self.code, self.columns))
        return {
            "size": bytes_of(format_),
            "width": HEAD_FIELDS + len(zeros),
            "format": format_,
            "zero": [*[0] * HEAD_FIELDS, *zeros, 0],
            "reals": [p for c, p in self.places.items() if self.code(c) == REAL],
            "earlier": self._earlier(),
        }

    def _earlier(self) -> dict[str, Any]:
        """The records of releases that kept a sum in one limb: read, and rewritten."""
        codes, sums, reals = [], [0] * HEAD_FIELDS, []
        for column in self.columns:
            if self.code(column) == REAL:
                reals.append(len(sums) + 1)
            is_sum = self.is_sum(column)
            codes.append(ONE_LIMB if is_sum else self.code(column))
            sums += [1] if is_sum else [0] * len(self._zero(column))
        format_ = _format(codes)
        return {
            "size": bytes_of(format_),
            "width": len(sums),
            "format": format_,
            "sums": sums,
            "reals": reals,
        }

    def where(self, column: Column) -> dict[str, Any]:
        """Where a column's bytes are in a record, and what none looks like."""
        before = self._all[: self._all.index(column)]
        return {
            "offset": EVENT.size + 1 + sum(bytes_of(self.code(c)) for c in before),
            "format": ">" + self.code(column),
            "none": self._zero(column)[0],
        }

    def kind(self, column: Column) -> ColumnKind:
        """How the Lua program carries a column on."""
        return ColumnKind.ALL if column == EVERY else COLUMNS[column.kind].carried

    def is_sum(self, column: Column) -> bool:
        """Whether it has two limbs."""
        return self.code(column) == TWO_LIMBS

    def code(self, column: Column) -> str:
        """The format of a column in a record; none of the count that every one has."""
        if column == EVERY:
            return ""
        if column.kind is Kind.LAST and column.measure in COORDINATES:
            return REAL
        return COLUMNS[column.kind].code

    def _zero(self, column: Column) -> tuple[float, ...]:
        """What is in a column where nothing is known, number by number."""
        if column.kind is Kind.MAX:  # and its link
            return (_NONE, 0)
        if self.is_sum(column):
            return (0, 0)
        return (_NOWHERE,) if self.code(column) == REAL else (0,)


def _format(codes: Iterable[str]) -> str:
    return f"{EVENT.format}{''.join(codes)}{CHECK.removeprefix('>')}"
