"""The slots of lifecycle events: what had happened, and was known, as of each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.derivation import Reals
from scoring.core.features.event_fields import ISSUER_OUTCOMES
from scoring.core.features.slot import Op, Slot
from scoring.core.transaction.lifecycle import LifecycleKind
from scoring.errors import BadArtifact
from scoring.training.offline.rates import with_amounts
from scoring.training.offline.sql import column_sql, key_of, named
from scoring.training.sql import columns_of

Connection = Any
_AGGREGATES = {Op.LARGEST: "max({})", Op.DISTINCT: "count(DISTINCT {})"}
_OPTIONAL = {
    "tenant": "''",
    "amount_minor": "NULL::BIGINT",
    "issuer_code": "''",
    "three_ds_result": "''",
    "known_at_ms": "NULL::BIGINT",
}


def refuse_untold(catalogue: Catalogue, *, told: bool) -> None:
    """Raises `BadArtifact` where statistics count events and none are told of.

    That none happened is told by a table without rows.
    """
    if not told and any(plan.of_events for plan in catalogue.plans):
        raise BadArtifact(
            "the definitions count lifecycle events: give a table of them (--events)"
        )


def prepare(con: Connection, catalogue: Catalogue, events: str | None) -> None:
    """Make offline_happened: each event once, with its payment of offline_rows.

    The first that became known of an id counts. An event that does not say when it
    became known was known when it happened. Raises `BadArtifact` where statistics
    count events and there are none to count.
    """
    refuse_untold(catalogue, told=events is not None)
    if events is None or not any(plan.of_events for plan in catalogue.plans):
        return
    present = columns_of(con, events)
    lacking = "".join(
        f", {sql} AS {name}" for name, sql in _OPTIONAL.items() if name not in present
    )
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE offline_told AS
        SELECT row_number() OVER () AS n, *
        FROM (SELECT *{lacking} FROM {events})
        QUALIFY row_number() OVER (PARTITION BY tenant, transaction_id, event_id
            ORDER BY coalesce(known_at_ms, occurred_at_ms)) = 1"""  # noqa: S608 - ours
    )
    moved = """(SELECT n, r, currency, e.occurred_at_ms,
        coalesce(e.amount_minor, t.amount_minor) AS amount_minor
        FROM offline_told e JOIN offline_rows t
            ON t.id = e.transaction_id AND e.tenant IN ('', t.tenant))"""
    outcomes = " ".join(
        f"WHEN '{LifecycleKind(kind).name}' THEN '{name}'"
        for kind, name in ISSUER_OUTCOMES.items()
    )
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE offline_happened AS
        SELECT t.*, m.amount AS event_amount, upper(e.kind) AS event,
            CASE upper(e.kind) {outcomes} ELSE '' END AS issuer_outcome,
            coalesce(e.issuer_code, '') AS issuer_code,
            upper(coalesce(e.three_ds_result, '')) AS three_ds_result,
            e.occurred_at_ms AS event_at_ms,
            coalesce(e.known_at_ms, e.occurred_at_ms) AS event_known_at_ms
        FROM {with_amounts(con, catalogue, moved)} m
        JOIN offline_told e USING (n) JOIN offline_rows t USING (r)"""  # noqa: S608
    )


def fill(con: Connection, plan: EntityPlan, stored: Reals) -> None:
    """Fill the slots of one entity's history of events."""
    key, names = key_of(plan.fields), named(plan.fields)
    columns = "".join(f", {column_sql(c)} AS c{i}" for i, c in enumerate(plan.columns))
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE offline_events AS
        SELECT {key}, event_at_ms, event_known_at_ms{columns}
        FROM offline_happened WHERE {names}"""  # noqa: S608 - compiled names
    )
    for i, slot in enumerate(plan.slots, plan.first_slot):
        assert slot.column is not None
        column = f"c{plan.columns.index(slot.column)}"
        sql = _total if slot.op is Op.TOTAL else _of_window
        rows = con.sql(sql(slot, column, key, names)).fetchnumpy()
        stored[rows["r"], i] = np.ma.filled(rows["value"], np.nan)


def _total(slot: Slot, column: str, key: str, names: str) -> str:
    """A count or sum, as steps up and down that are summed in time order."""
    oldest = slot.window_ms + slot.delay_ms
    return f"""
        WITH counted AS (
            SELECT *, greatest(event_at_ms + {slot.delay_ms}, event_known_at_ms)
                AS starts, event_at_ms + {oldest} AS ends
            FROM offline_events WHERE {column} IS NOT NULL
        ), merged AS (
            SELECT {key}, starts AS at_ms, {column}::HUGEINT AS step, -1 AS r
                FROM counted WHERE starts < ends
            UNION ALL SELECT {key}, ends, -{column}::HUGEINT, -1
                FROM counted WHERE starts < ends
            UNION ALL SELECT {key}, occurred_at_ms, 0, r
                FROM offline_rows WHERE {names}
        ), summed AS (
            SELECT r, sum(step) OVER (
                PARTITION BY {key} ORDER BY at_ms RANGE UNBOUNDED PRECEDING
            ) AS total FROM merged
        ) SELECT r, total::DOUBLE AS value FROM summed WHERE r >= 0"""  # noqa: S608


def _of_window(slot: Slot, column: str, key: str, names: str) -> str:
    """What no sum tells: each row beside the events of its window."""
    value = _AGGREGATES[slot.op].format(f"e.{column}")
    same = " AND ".join(f"e.{name} = t.{name}" for name in key.split(", "))
    return f"""
        SELECT t.r, ({value})::DOUBLE AS value
        FROM (SELECT r, occurred_at_ms AS at_ms, {key} FROM offline_rows
            WHERE {names}) t
        LEFT JOIN offline_events e ON {same}
            AND e.event_at_ms > t.at_ms - {slot.window_ms}
            AND e.event_at_ms <= t.at_ms AND e.event_known_at_ms <= t.at_ms
        GROUP BY t.r"""  # noqa: S608 - compiled names
