"""The table of backtests that the control plane runs; their figures are in another."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, String, Table, Text

from scoring.control.database.tables import METADATA

BACKTEST_JOBS = Table(
    "backtest_jobs",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("version", String(16), nullable=False, index=True),
    Column("against", String(16), nullable=False),
    Column("asked", Text, nullable=False),  # JSON: both texts, and the scope
    Column("by", String(200), nullable=False),
    Column("origin", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("stage", String(64), nullable=False),
    Column("done", Float, nullable=False),
    Column("holder", String(200), nullable=False),
    Column("failed", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=True),
    Column("ended_at_ms", BigInteger, nullable=True),
)
