"""Rows that overtook others: what a live store saw in its processing order.

A row sees what was processed before it and is not later than it. Where an earlier row
was processed later, the windows of event order would see too much;
those few rows are computed again by the reference engine.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.derivation import Reals
from scoring.core.features.measure import DecidedTransaction
from scoring.core.features.readable import column_of
from scoring.core.features.reference import (
    CountedTransaction,
    LabelVersion,
    Reference,
    event_of,
)
from scoring.core.transaction.transaction import FIELDS, MAP_FIELDS, Transaction
from scoring.training.offline.sql import key_of, named

Connection = Any
_Key = tuple[str, ...]
_FIELDS = tuple(f.name for f in FIELDS if f.name not in MAP_FIELDS)


@dataclass(frozen=True, slots=True)
class _Row:
    r: int
    processed_seq: int
    too_late: bool
    transaction: Transaction
    decided: DecidedTransaction


def mark_too_late(con: Connection, catalogue: Catalogue, lateness_ms: int) -> None:
    """Mark rows that came more than `lateness_ms` behind one of their entities.

    It follows the processing order row by row, as the store did: what is too late
    for one entity is counted in none.
    """
    if not is_known(con, "offline_rows"):
        return
    newest: dict[_Key, int] = defaultdict(int)
    late: list[tuple[int]] = []
    plans = [plan for plan in catalogue.plans if not plan.of_events]
    tokens = sorted({field for plan in plans for field in plan.fields})
    columns = ", ".join(map(column_of, tokens))
    rows = con.execute(
        f"SELECT r, occurred_at_ms, tenant, {columns} "  # noqa: S608
        "FROM offline_rows ORDER BY processed_seq"
    )
    while chunk := rows.fetchmany(100_000):
        for r, at_ms, tenant, *values in chunk:
            named = dict(zip(tokens, values, strict=True))
            keys = [
                (plan.name, tenant, *own)
                for plan in plans
                if all(own := [named[field] for field in plan.fields])
            ]
            if any(newest[key] - lateness_ms > at_ms for key in keys):
                late.append((r,))
                continue
            for key in keys:
                newest[key] = max(newest[key], at_ms)
    if late:
        con.executemany("UPDATE offline_rows SET too_late = true WHERE r = ?", late)


def correct(
    con: Connection, catalogue: Catalogue, plan: EntityPlan, stored: Reals
) -> None:
    """Recompute the rows of one kind of entity that overtook, or came too late."""
    if not is_known(con, "offline_rows"):
        return
    wrong = _overtaking(con, plan)
    if not wrong:
        return
    engine = Reference(catalogue)
    _learn(con, engine)
    place = slice(plan.first_slot, plan.first_slot + len(plan.slots))
    for rows in _histories(con, catalogue, plan).values():
        events = [
            event_of(plan, row.decided, catalogue.amount(row.transaction))
            for row in rows
        ]
        for row in rows:
            if row.r in wrong:
                known = _processed_before(row, rows, events)
                stored[row.r, place] = engine.read(plan, known, row.transaction)


def is_known(con: Connection, rows: str) -> bool:
    """Whether every row of a view says when it was processed."""
    ((missing, count),) = con.sql(
        f"SELECT count(*) FILTER (processed_seq IS NULL), count(*) FROM {rows}"  # noqa: S608
    ).fetchall()
    return bool(count and not missing)


def _overtaking(con: Connection, plan: EntityPlan) -> set[int]:
    rows = con.sql(
        f"""SELECT r FROM (
            SELECT r, processed_seq < max(processed_seq) OVER (
                PARTITION BY entity ORDER BY k
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS overtook FROM offline_events
        ) WHERE overtook
        UNION SELECT r FROM offline_rows WHERE too_late AND {named(plan.fields)}"""  # noqa: S608
    ).fetchall()
    return {r for (r,) in rows}


def _histories(
    con: Connection, catalogue: Catalogue, plan: EntityPlan
) -> dict[_Key, list[_Row]]:
    """All rows, in event order, of the entities that have a row to correct."""
    key = key_of(plan.fields)
    keyed = "".join(f", {column_of(name)}" for name in catalogue.keyed)
    rows = con.sql(
        f"""WITH wrong AS (
            SELECT r FROM (
                SELECT r, processed_seq < max(processed_seq) OVER (
                    PARTITION BY entity ORDER BY k
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS overtook FROM offline_events
            ) WHERE overtook
            UNION SELECT r FROM offline_rows WHERE too_late
        ), whose AS (
            SELECT DISTINCT {key} FROM offline_rows JOIN wrong USING (r)
            WHERE {named(plan.fields)}
        )
        SELECT r, processed_seq, too_late, upper(outcome), {", ".join(_FIELDS)}{keyed}
        FROM offline_rows JOIN whose USING ({key}) ORDER BY r"""  # noqa: S608
    ).fetchall()
    grouped: dict[_Key, list[_Row]] = defaultdict(list)
    for r, seq, too_late, outcome, *values in rows:
        t = _transaction(values, catalogue.keyed)
        own = (t.tenant, *plan.tokens(t))
        decided = DecidedTransaction.from_transaction(t, outcome)
        grouped[own].append(_Row(r, seq, too_late, t, decided))
    return grouped


def _transaction(values: list[Any], keyed: tuple[str, ...]) -> Transaction:
    """A row's transaction, with what is read of the caller's own."""
    fields = dict(zip(_FIELDS, values, strict=False))
    for name, value in zip(keyed, values[len(_FIELDS) :], strict=True):
        of, _, key = name.partition(".")
        if value is not None:
            fields.setdefault(of, {})[key] = value
    return Transaction(**fields)


def _processed_before(
    row: _Row, rows: list[_Row], events: list[CountedTransaction]
) -> list[CountedTransaction]:
    return [
        event
        for other, event in zip(rows, events, strict=True)
        if other.processed_seq < row.processed_seq and not other.too_late
    ]


def _learn(con: Connection, engine: Reference) -> None:
    rows = con.sql(
        """SELECT t.tenant, l.transaction_id, l.version, l.known_at_ms, l.fraud
        FROM offline_labels l JOIN offline_rows t
            ON t.id = l.transaction_id AND l.tenant IN ('', t.tenant)"""
    ).fetchall()
    for tenant, id_, version, known_at_ms, fraud in rows:
        engine.learn(
            Transaction(tenant, id_), LabelVersion(version, known_at_ms, fraud)
        )
