"""The table of models that were proposed as the champion."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from scoring.control.database.tables import METADATA

MODEL_PROPOSALS = Table(
    "model_proposals",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("model", String(16), nullable=False),
    Column("champion", String(16), nullable=False),
    Column("by", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("decided_by", String(200), nullable=False),
    Column("decided_at_ms", BigInteger, nullable=True),
    Column("reason", Text, nullable=False),
)
