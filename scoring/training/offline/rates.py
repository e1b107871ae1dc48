"""What the payments of a table are worth in the reference currency."""

from __future__ import annotations

from typing import Any

from scoring.core.features.catalogue import Catalogue
from scoring.core.features.rates import ALWAYS_MS, RATE_SCALE, Rates

Connection = Any  # duckdb.DuckDBPyConnection, which carries no types
_DAY_MS = 86_400_000  # rates begin with days


def with_amounts(con: Connection, catalogue: Catalogue, rows: str) -> str:
    """A query of `rows` (a table, or a query in brackets) with one more column.

    `amount` is in minor units of the reference currency, half rounded up; NULL where it
    is missing or its currency has no rate that day. Makes the table offline_rates.
    """
    _make_rates(con, catalogue.exchange.rates)
    # A rate for each currency and day that occurs: rows are matched with those by a
    # hash, and never sorted.
    return f"""(
        WITH days AS (
            SELECT DISTINCT currency, occurred_at_ms // {_DAY_MS} AS day FROM {rows}
        ), rated AS (
            SELECT days.*, rate FROM days ASOF JOIN offline_rates r
                ON days.currency = r.currency AND days.day * {_DAY_MS} >= r.start_ms
        )
        SELECT t.*, ((amount_minor::HUGEINT * rate + {RATE_SCALE // 2})
            // {RATE_SCALE})::BIGINT AS amount
        FROM {rows} t LEFT JOIN rated
            ON rated.currency = t.currency AND day = t.occurred_at_ms // {_DAY_MS}
    )"""  # noqa: S608 - the caller's own rows


def mark_other_rates(con: Connection, rates: Rates, rows: str) -> None:
    """Make the table other_rates: `n` of what was converted by other rates than these.

    `rows` are decided transactions.

    Not where the decision does not say by which: an earlier release made it.
    """
    con.execute(
        """CREATE OR REPLACE TEMP TABLE offline_versions AS
        SELECT unnest(?::BIGINT[]) AS start_ms, unnest(?::VARCHAR[]) AS version""",
        [[ALWAYS_MS, *rates.starts], list(rates.versions)],
    )
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE other_rates AS
        SELECT n FROM (SELECT n, occurred_at_ms, rates_version FROM {rows}
            WHERE rates_version <> '') own
        ASOF JOIN offline_versions v ON own.occurred_at_ms >= v.start_ms
        WHERE rates_version <> version"""  # noqa: S608 - the caller's own rows
    )


def _make_rates(con: Connection, rates: Rates) -> None:
    dated = [
        (currency, start_ms, rate)
        for currency, own in rates.by_currency.items()
        for start_ms, rate in zip(own.starts, own.rates, strict=True)
    ]
    con.execute(
        """CREATE OR REPLACE TEMP TABLE offline_rates AS
        SELECT unnest(?::VARCHAR[]) AS currency, unnest(?::BIGINT[]) AS start_ms,
            unnest(?::BIGINT[]) AS rate""",
        list(map(list, zip(*dated, strict=True))),
    )
