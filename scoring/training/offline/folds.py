"""The slots that are ordered folds: own normal amounts and label histories."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.derivation import Reals
from scoring.core.features.slot import NORMAL, Column, Kind, Op, Slot
from scoring.training.offline.sql import FOLDED

Connection = Any
_STREAKS = frozenset({Op.STREAK, Op.STREAK_START, Op.FRAUD_TIME})
# This engine's readings that no SQL window gives; `sql.WINDOWS` has the others.
FOLDS = _STREAKS | {Op.FRAUDS}
_Verdicts = list[tuple[int, int, bool]]  # version, known_at_ms, fraud


def fill(
    con: Connection, catalogue: Catalogue, plan: EntityPlan, stored: Reals
) -> None:
    """Fill the folded slots of one kind of entity from the table offline_events."""
    folds = dict.fromkeys(
        Column(Kind.NORMAL_COUNT, s.column.measure, s.column.filter, s.column.trim)
        for s in plan.slots
        if s.column is not None and s.column.kind in FOLDED
    )
    for column in folds:
        _fill_normal(con, plan, column, stored)
    for slot in plan.slots:
        if slot.op is Op.FRAUDS:
            _fill_frauds(con, plan, slot, stored)
    if any(slot.op in _STREAKS for slot in plan.slots):
        _fill_streaks(con, catalogue, plan, stored)


def _fill_normal(
    con: Connection, plan: EntityPlan, column: Column, stored: Reals
) -> None:
    name = f"c{plan.columns.index(column)}"
    rows = con.sql(
        f"SELECT r, entity, at_ms, fresh, {name} AS amount FROM offline_events "  # noqa: S608
        "ORDER BY entity, k"
    ).fetchnumpy()
    states, running = _own_normal(rows, column.trim)
    for i, slot in enumerate(plan.slots, plan.first_slot):
        own = slot.column
        if own is None or replace(own, kind=column.kind) != column:
            continue
        if own.kind in NORMAL:
            stored[rows["r"], i] = states[NORMAL.index(own.kind)]
        elif own.kind is Kind.UNUSUAL:
            stored[rows["r"], i] = _within(rows, running, slot.window_ms)


def _own_normal(
    rows: dict[str, NDArray[Any]], trim: float
) -> tuple[list[Reals], NDArray[np.int64]]:
    """The fold before each row, and the unusual events counted before each row."""
    states: list[tuple[float, ...]] = []
    running: list[int] = []
    amounts = np.ma.filled(
        np.ma.asarray(rows["amount"], dtype=np.float64), nan
    ).tolist()
    entity, seen = -1, 0
    count = total = high = low = 0
    columns = (rows["entity"].tolist(), rows["fresh"].tolist(), amounts)
    for who, fresh, amount in zip(*columns, strict=True):
        if who != entity or fresh:
            entity, count, total, high, low = who, 0, 0, 0, 0
        states.append((count, total, high, low))
        running.append(seen)
        if amount != amount:  # noqa: PLR0124 - NaN, the row has no amount
            continue
        if count and amount * count > trim * total:
            seen += 1
            continue
        minor = int(amount)
        count, total = count + 1, total + minor
        high, low = high + (minor * minor >> 40), low + (minor * minor & (1 << 40) - 1)
    columns_out = np.array(states, dtype=np.float64).reshape(-1, len(NORMAL)).T
    return list(columns_out), np.array(running, dtype=np.int64)


def _within(
    rows: dict[str, NDArray[Any]], running: NDArray[np.int64], window_ms: int
) -> Reals:
    """How many unusual events lie in (t - w, t) before each row."""
    if not len(rows["at_ms"]):
        return np.zeros(0)
    # One increasing key of entity and time makes every window a binary search.
    at_ms = rows["at_ms"].astype(np.int64) - int(rows["at_ms"].min())
    stride = int(at_ms.max()) + window_ms + 1
    key = rows["entity"].astype(np.int64) * stride + at_ms
    start = np.searchsorted(key, key - window_ms, side="right")
    counted: Reals = (running - running[start]).astype(np.float64)
    return counted


def _fill_frauds(con: Connection, plan: EntityPlan, slot: Slot, stored: Reals) -> None:
    """Known frauds as steps up and down, summed in time order beside the rows.

    A fraud counts from the later of its delay's end and its label's arrival until
    it leaves the window; a newer version of the label ends the older one.
    """
    assert slot.column is not None
    column = f"c{plan.columns.index(slot.column)}"
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE offline_steps AS
        WITH known AS (
            SELECT e.entity, l.fraud,
                greatest(e.at_ms + {slot.delay_ms}, l.known_at_ms) AS starts,
                least(e.at_ms + {slot.delay_ms + slot.window_ms},
                    coalesce(min(l.known_at_ms) OVER (
                        PARTITION BY e.r ORDER BY l.version
                        ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
                    ), 9e18::BIGINT)) AS ends
            FROM offline_events e JOIN offline_labels l
                ON l.transaction_id = e.id AND l.tenant IN ('', e.tenant)
            WHERE e.{column} IS NOT NULL
        ), counted AS (SELECT * FROM known WHERE fraud AND starts < ends)
        SELECT entity, starts AS at_ms, 1 AS step FROM counted
        UNION ALL SELECT entity, ends, -1 FROM counted"""  # noqa: S608 - compiled
    )
    rows = con.sql(
        """WITH merged AS (
            SELECT entity, at_ms, step, -1 AS r FROM offline_steps
            UNION ALL SELECT entity, at_ms, 0, r FROM offline_events
        ), summed AS (
            SELECT r, sum(step) OVER (
                PARTITION BY entity ORDER BY at_ms RANGE UNBOUNDED PRECEDING
            ) AS frauds FROM merged
        ) SELECT r, frauds::DOUBLE AS frauds FROM summed WHERE r >= 0"""
    ).fetchnumpy()
    place = plan.first_slot + plan.slots.index(slot)
    stored[rows["r"], place] = rows["frauds"]


def _fill_streaks(
    con: Connection, catalogue: Catalogue, plan: EntityPlan, stored: Reals
) -> None:
    slots = [
        (plan.first_slot + i, slot)
        for i, slot in enumerate(plan.slots)
        if slot.op in _STREAKS
    ]
    everyone = con.sql("SELECT r FROM offline_events").fetchnumpy()["r"]
    for place, _ in slots:
        stored[everyone, place] = 0.0
    for events, verdicts in _labelled_entities(con, plan):
        for place, slot in slots:
            assert slot.column is not None
            column = 3 + plan.columns.index(slot.column)
            for r, value in _history(events, verdicts, slot, column, catalogue):
                stored[r, place] = value


def _labelled_entities(con: Connection, plan: EntityPlan) -> Any:
    """Each entity with a fraud among its labels: its events, and the verdicts."""
    columns = "".join(f", e.c{i} IS NOT NULL" for i in range(len(plan.columns)))
    verdicts: dict[int, _Verdicts] = defaultdict(list)
    for r, version, known_at_ms, fraud in con.sql(
        """SELECT e.r, l.version, l.known_at_ms, coalesce(l.fraud, false)
        FROM offline_events e JOIN offline_labels l
            ON l.transaction_id = e.id AND l.tenant IN ('', e.tenant)
        ORDER BY l.version"""
    ).fetchall():
        verdicts[r].append((version, known_at_ms, fraud))
    rows = con.sql(
        f"""SELECT e.entity, e.r, e.at_ms, e.session{columns} FROM offline_events e
        WHERE e.entity IN (SELECT e.entity FROM offline_events e
            JOIN offline_labels l ON l.transaction_id = e.id
                AND l.tenant IN ('', e.tenant) WHERE l.fraud)
        ORDER BY e.entity, e.k"""  # noqa: S608 - column numbers only
    ).fetchall()
    grouped: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for entity, *event in rows:
        grouped[entity].append(tuple(event))
    for events in grouped.values():
        yield events, verdicts


def _history(
    events: list[tuple[Any, ...]],
    verdicts: dict[int, _Verdicts],
    slot: Slot,
    column: int,
    catalogue: Catalogue,
) -> Any:
    newest = -1  # the last event whose label may be used
    for i, (r, at_ms, session, *_) in enumerate(events):
        while newest + 1 < i and events[newest + 1][1] <= at_ms - slot.delay_ms:
            newest += 1
        streak, begun, last = 0, 0, 0
        for j in range(min(newest, i - 1), -1, -1):
            event = events[j]
            if event[1] <= at_ms - catalogue.retention_ms or event[2] != session:
                break
            if event[column] and _is_fraud(verdicts.get(event[0], ()), at_ms):
                streak, begun, last = streak + 1, event[1], last or event[1]
                if slot.op is Op.FRAUD_TIME:
                    break
            elif slot.op is not Op.FRAUD_TIME:
                break
        value = {Op.STREAK: streak, Op.STREAK_START: begun, Op.FRAUD_TIME: last}
        yield r, value[slot.op]


def _is_fraud(verdicts: Any, at_ms: int) -> bool:
    known = [fraud for _, known_at_ms, fraud in verdicts if known_at_ms <= at_ms]
    return bool(known and known[-1])
