"""The wiring of what runs backtests: the lease, and a process for each."""

from __future__ import annotations

import asyncio
import sys
import time

from scoring.control.backtest_runner import LINE_BYTES_MAX, BacktestRunner
from scoring.control.database.database import Database
from scoring.control.database.relaying import LeaseTable
from scoring.control.desks.backtest_desk import BacktestDesk
from scoring.control.lease import TTL_MS, Lease
from scoring.wiring.services import now_ms

LEASE = "backtests"


def backtest_runner_from(
    desk: BacktestDesk, database: Database, holder: str
) -> BacktestRunner:
    """What runs the backtests that wait, under the name of this copy."""
    rows = LeaseTable(database, LEASE, lambda: now_ms() + TTL_MS)
    return BacktestRunner(desk, Lease(rows, holder, time.monotonic), _judging)


async def _judging(number: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scoring", "control", "judge", str(number)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
