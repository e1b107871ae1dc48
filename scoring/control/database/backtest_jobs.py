"""Backtests that the control plane runs, as rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, func, select

from scoring.control.database import rows
from scoring.control.database.backtest_tables import BACKTEST_JOBS
from scoring.control.database.tables import BACKTESTS
from scoring.control.domain.backtest_jobs import (
    BacktestJob,
    BacktestScope,
    JobState,
    JudgedText,
)

_PARTS = ("new", "old", "scope")
_C = BACKTEST_JOBS.c


class BacktestJobs:
    """The jobs, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next_number(self) -> int:
        """The next number, of those that were run here and those that were brought."""
        columns = (_C.number, BACKTESTS.c.number)
        return max(rows.next_number(self._connection, column) for column in columns)

    def add(self, job: BacktestJob) -> None:
        """Keep a new job."""
        rows.saved(self._connection, BACKTEST_JOBS, _values(job), new=True)

    def save(self, job: BacktestJob) -> None:
        """Keep what has become of a job."""
        rows.saved(self._connection, BACKTEST_JOBS, _values(job), new=False)

    def job(self, number: int) -> BacktestJob | None:
        """A job; None where there is none of this number."""
        found = select(BACKTEST_JOBS).where(_C.number == number)
        row = self._connection.execute(found).one_or_none()
        return None if row is None else _job(row)

    def jobs(
        self,
        *,
        version: str = "",
        below: int | None = None,
        count_max: int,
        reports: bool | None = None,
    ) -> list[BacktestJob]:
        """Jobs, the newest first; of one version (a hash) where one is named.

        Reports, of a version against itself, alone or none, where that is said.
        """
        found = select(BACKTEST_JOBS).order_by(_C.number.desc()).limit(count_max)
        if version:
            found = found.where(_C.version == version)
        if below is not None:
            found = found.where(_C.number < below)
        if reports is not None:
            itself = _C.version == _C.against
            found = found.where(itself if reports else ~itself)
        return [_job(row) for row in self._connection.execute(found)]

    def in_state(self, state: JobState) -> list[BacktestJob]:
        """Every job in a state, the oldest first."""
        found = select(BACKTEST_JOBS).where(_C.state == state.value)
        ordered = found.order_by(_C.number)
        return [_job(row) for row in self._connection.execute(ordered)]

    def waiting(self, below: int | None = None) -> int:
        """How many wait; of those asked for before one, where it is named."""
        found = select(func.count()).where(_C.state == JobState.QUEUED.value)
        if below is not None:
            found = found.where(_C.number < below)
        return int(self._connection.execute(found).scalar_one())


def _values(job: BacktestJob) -> dict[str, Any]:
    values = {name: getattr(job, name) for name in job.__slots__}
    asked = {name: asdict(values.pop(name)) for name in _PARTS}
    return values | {
        "version": job.new.version,
        "against": job.old.version,
        "asked": json.dumps(asked),
        "state": job.state.value,
    }


def _job(row: Row[Any]) -> BacktestJob:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
    asked = json.loads(values.pop("asked"))
    for name in ("version", "against"):
        values.pop(name)
    return BacktestJob(
        **values | {"state": JobState(row.state)},
        new=JudgedText(**asked["new"]),
        old=JudgedText(**asked["old"]),
        scope=BacktestScope(**asked["scope"]),
    )
