"""The SQL of each column and slot, generated from the same definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.event_fields import EVENT_FIELDS, KNOWN_AT
from scoring.core.features.expression import OUTCOME, parse
from scoring.core.features.measure import LIMB_BITS
from scoring.core.features.readable import (
    column_of,
    keyed_columns,
    measured_sql,
    readable,
    text_sql,
)
from scoring.core.features.slot import GIVEN, NORMAL, Column, Kind, Op, Slot
from scoring.core.transaction.fields import Field
from scoring.core.transaction.transaction import DERIVED, FIELDS, MAP_FIELDS
from scoring.training.offline.derived_sql import DERIVED_SQL
from scoring.training.sql import SQL_TYPES

# Events of one entity and millisecond get ranks below this, so that time and rank make
# one unique integer key, and a half-open window is an integer range of it.
TIES = 1 << 20
FOLDED = frozenset({*NORMAL, Kind.UNUSUAL})


def _absent(field: Field) -> str:
    return "NULL" if field.absent is None else repr(field.absent)


# What means "not known" where a table lacks a column. The payment's own id, time
# and amount no table lacks.
_EMPTY = {
    field.name: f"{_absent(field)}::{SQL_TYPES[field.type]}"
    for field in FIELDS
    if field.name not in {"occurred_at_ms", "amount_minor", *MAP_FIELDS}
} | {OUTCOME: "''", "processed_seq": "NULL::BIGINT"}


def columns_of_transaction(
    present: Mapping[str, str], keyed: Iterable[str] = ()
) -> str:
    """The select list that adds what a table of these columns lacks.

    Its fields that are "not known", those that are worked out of others, and a column
    for each of the caller's own names.
    """
    lacking = [
        f"{value} AS {name}" for name, value in _EMPTY.items() if name not in present
    ]
    maps = [name for name in MAP_FIELDS if name in present]
    rest = f"* EXCLUDE ({', '.join(maps)})" if maps else "*"
    return ", ".join([rest, *lacking, *columns_worked_out(present, keyed)])


def columns_worked_out(
    present: Mapping[str, str], keyed: Iterable[str] = ()
) -> list[str]:
    """The select list of what no table brings: it is worked out of its columns."""
    derived = {
        field.name: DERIVED_SQL[field.name](of if of in present else _EMPTY[of])
        for field, of in DERIVED.items()
        if field.name not in present
    }
    texts = [f"{sql} AS {name}" for name, sql in derived.items()]
    return [*texts, *keyed_columns(keyed, present)]


def named(fields: Iterable[str]) -> str:
    r"""The condition that a row names an entity.

    >>> named(("card", "attributes.plan"))
    'card <> \'\' AND "attributes.plan" <> \'\''
    """
    return " AND ".join(f"{column_of(field)} <> ''" for field in fields)


def key_of(fields: Iterable[str]) -> str:
    """The columns that tell entities apart, as a list.

    >>> key_of(("card",))
    'tenant, card'
    """
    return ", ".join(("tenant", *map(column_of, fields)))


def hash_sql(field: str) -> str:
    """48 bits of a text as `counterpart_hash` takes them, NULL where unknown."""
    text = text_sql(field)
    number = f"greatest(('0x' || substr(sha256({text}), 1, 12))::BIGINT, 1)"
    return f"CASE WHEN {text} IS NOT NULL THEN {number} END"


def _measure_sql(name: str) -> str:
    for suffix, act in (("^2 high", "//"), ("^2 low", "%")):
        if name.endswith(suffix):
            base = f"({_measure_sql(name.removesuffix(suffix))})::HUGEINT"
            return f"({base} * {base} {act} {1 << LIMB_BITS}::HUGEINT)::BIGINT"
    if name.startswith("-"):
        return f"-({_measure_sql(name[1:])})"
    if name.endswith(GIVEN):
        return readable(name.removesuffix(GIVEN)).sql
    if name == KNOWN_AT:
        return name
    if name in EVENT_FIELDS:
        return EVENT_FIELDS[name].sql
    return measured_sql(name)


# Kinds of columns that keep the measure as it is.
_MEASURED = frozenset({Kind.SUM, Kind.MAX, Kind.UNUSUAL, *NORMAL})


def column_sql(column: Column) -> str:
    """What a column keeps of a row, NULL where the row has no value there."""
    if column.kind is Kind.FIRST:
        return "occurred_at_ms"
    if column.kind is Kind.LAST and column.measure == "located_at":
        return "CASE WHEN latitude IS NOT NULL THEN occurred_at_ms END"
    if column.kind is Kind.LAST and column.measure in {"latitude", "longitude"}:
        return column.measure
    if column.kind in {Kind.LAST, Kind.COUNTERPART}:
        value = hash_sql(column.measure)
    elif column.kind is Kind.COUNT:
        known = column.measure and f"{_measure_sql(column.measure)} IS NOT NULL"
        value = f"CASE WHEN {known} THEN 1 END" if known else "1"
    elif column.kind in _MEASURED:
        value = _measure_sql(column.measure)
    else:
        raise KeyError(f"no SQL makes a column of kind {column.kind}: add it here")
    if not column.filter:
        return value
    return f"CASE WHEN {parse(column.filter).sql} THEN {value} END"


def is_windowed(slot: Slot) -> bool:
    """Whether one SQL window gives the slot; the others are ordered folds."""
    if slot.op not in WINDOWS:
        return False
    return slot.column is None or slot.column.kind not in FOLDED


def slot_sql(catalogue: Catalogue, plan: EntityPlan, slot: Slot) -> str:
    """A slot as one window expression over the entity's events, in order."""
    name = "" if slot.column is None else f"c{plan.columns.index(slot.column)}"
    return WINDOWS[slot.op](catalogue, slot, name)


def _over(slot: Slot) -> str:
    return f"OVER (PARTITION BY entity ORDER BY k RANGE {_frame(slot)})"


def _total_sql(_catalogue: Catalogue, slot: Slot, name: str) -> str:
    return f"coalesce(sum({name}) {_over(slot)}, 0)"


def _largest_sql(_catalogue: Catalogue, slot: Slot, name: str) -> str:
    return f"max({name}) {_over(slot)}"


def _distinct_sql(_catalogue: Catalogue, slot: Slot, name: str) -> str:
    return f"count(DISTINCT {name}) {_over(slot)}"


def _time_before_sql(_catalogue: Catalogue, _slot: Slot, _name: str) -> str:
    return "coalesce(CASE WHEN NOT fresh THEN lag(at_ms) OVER ordered END, 0)"


def _seen_sql(catalogue: Catalogue, _slot: Slot, name: str) -> str:
    start = f"at_ms - {catalogue.retention_ms}"
    last = f"lag(at_ms) OVER (PARTITION BY entity, {name} ORDER BY k)"
    recent = f"CASE WHEN {last} > {start} THEN {last} ELSE 0 END"
    return f"CASE WHEN {name} IS NOT NULL THEN {recent} END"


def _before_sql(_catalogue: Catalogue, slot: Slot, name: str) -> str:
    assert slot.column is not None
    before = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    over = f"OVER (PARTITION BY entity, session ORDER BY k {before})"
    if slot.column.kind is Kind.FIRST:
        return f"coalesce(first_value(at_ms) {over}, 0)"
    return f"last_value({name} IGNORE NULLS) {over}"


# This engine's part for each reading that one SQL window gives; `FOLDS` has the others.
WINDOWS: Mapping[Op, Callable[[Catalogue, Slot, str], str]] = {
    Op.TOTAL: _total_sql,
    Op.LARGEST: _largest_sql,
    Op.DISTINCT: _distinct_sql,
    Op.BEFORE: _before_sql,
    Op.TIME_BEFORE: _time_before_sql,
    Op.SEEN: _seen_sql,
}


def _frame(slot: Slot) -> str:
    oldest = slot.window_ms + slot.delay_ms
    start = f"({(oldest - 1) * TIES} + tie) PRECEDING"
    if slot.delay_ms:
        end = f"({slot.delay_ms * TIES - (TIES - 1)} + tie) PRECEDING"
    else:
        end = "CURRENT ROW" if slot.current else "1 PRECEDING"
    return f"BETWEEN {start} AND {end}"


def events_sql(catalogue: Catalogue, plan: EntityPlan) -> str:
    """The events of one kind of entity: key, order, session and columns."""
    key = key_of(plan.fields)
    columns = [f", {column_sql(c)} AS c{i}" for i, c in enumerate(plan.columns)]
    return f"""
        WITH placed AS (
            SELECT *, occurred_at_ms AS at_ms,
                dense_rank() OVER (ORDER BY {key}) AS entity
            FROM offline_rows WHERE NOT too_late AND {named(plan.fields)}
        ), tied AS (
            SELECT *, row_number() OVER (PARTITION BY entity, at_ms ORDER BY r) - 1
                AS tie FROM placed
        ), keyed AS (
            SELECT *, at_ms * {TIES} + tie AS k, coalesce(
                at_ms - lag(at_ms) OVER (PARTITION BY entity ORDER BY r)
                    > {catalogue.horizon_ms}, true) AS fresh FROM tied
        )
        SELECT r, id, tenant, processed_seq, entity, at_ms, tie, k, fresh,
            sum(fresh::INTEGER) OVER (
                PARTITION BY entity ORDER BY k ROWS UNBOUNDED PRECEDING
            ) AS session{"".join(columns)}
        FROM keyed
    """  # noqa: S608 - every name in it comes from checked definitions
