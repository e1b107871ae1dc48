"""Segments as SQL: which case of a threshold, limit or fallback is for a payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scoring.backtest.predicates import field_sql, text_sql
from scoring.core.policy.policy import Policy
from scoring.core.policy.segments import Where, texts_of

# Fields of which policies name thousands: their cases are joined, not asked in turn.
_JOINED = ("merchant", "merchant_category")
_CASES_MAX = 16  # as many are asked in turn at less than a join costs


@dataclass(slots=True)
class SegmentJoins:
    """The tables by which cases are found, made once for one connection.

    A row's case is the first that fits, counted from 0; where none does it is the
    number of cases, which is the default's.
    """

    con: Any
    joins: list[str] = field(default_factory=list)

    def case(self, wheres: Sequence[Where]) -> str:
        """The SQL of the place of the first case that fits."""
        joined: dict[str, dict[str, int]] = {}
        asked: list[str] = []
        many = len(wheres) > _CASES_MAX
        for i, where in enumerate(wheres):
            alone = _alone(where) if many else None
            if alone is None:
                asked.append(f"WHEN {condition(where)} THEN {i}")
                continue
            name, texts = alone
            for text in texts:
                joined.setdefault(name, {}).setdefault(text, i)
        none = len(wheres)
        parts = [f"CASE {' '.join(asked)} ELSE {none} END"] if asked else []
        parts += [
            f"coalesce({self._table(name, places)}.place, {none})"
            for name, places in joined.items()
        ]
        return f"least({', '.join(parts)})" if parts else str(none)

    def _table(self, name: str, places: dict[str, int]) -> str:
        table = f"segment_{len(self.joins)}"
        self.con.execute(
            f"""CREATE OR REPLACE TEMP TABLE {table} AS
            SELECT unnest(?::VARCHAR[]) AS token, unnest(?::INTEGER[]) AS place""",
            [list(places), list(places.values())],
        )
        self.joins.append(f"LEFT JOIN {table} ON {table}.token = {field_sql(name)}")
        return table


def _alone(where: Where) -> tuple[str, tuple[str, ...]] | None:
    """The field and its texts, of a segment that asks for nothing else."""
    texts = texts_of(where)
    if len(where.model_fields_set) != 1 or len(texts) != 1:
        return None
    [(name, listed)] = texts.items()
    return (name, listed) if name in _JOINED else None


def condition(where: Where) -> str:
    """The SQL of a segment: true, or not; `amount` is in the reference currency.

    >>> condition(Where(merchant="m1", amount_minor_from=500))
    "(nullif(merchant, '') IN ('m1') AND amount >= 500)"
    """
    parts = [
        f"{field_sql(name)} IN ({_listed(texts)})"
        for name, texts in texts_of(where).items()
    ]
    parts += [
        f"attributes[{text_sql(key)}] IN ({_listed(texts)})"
        for key, texts in where.attributes
    ]
    written = where.model_fields_set
    if {"amount_minor_from", "amount_minor_below"} & written:
        parts.append(f"amount >= {where.amount_minor_from}")
        if where.amount_minor_below is not None:
            parts.append(f"amount < {where.amount_minor_below}")
    return f"({' AND '.join(parts)})"


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(map(text_sql, texts))


def segment_name(policy: Policy, place: int) -> str:
    """A segment of the thresholds in words: "channel ATM", or "all others"."""
    segments = policy.file.thresholds.segments
    if place == len(segments):
        return "all others"
    written = segments[place].where.model_dump(exclude_unset=True)
    return ", ".join(
        f"{name} {'/'.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in written.items()
    )
