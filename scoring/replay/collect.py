"""What came back for each row that was sent, written to Parquet as it comes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scoring.errors import Unavailable
from scoring.replay.decisions import (
    decision_values,
    decisions_schema,
    degradations_of,
)
from scoring.tables.admission import Row
from scoring.tables.row_accounting import Place
from scoring.v1 import decision_pb2

_ROWS_PER_GROUP = 20_000
_STALLED_S = 120.0


@dataclass(slots=True)
class Collector:
    """Rows on their way, and the Parquet file of those that are decided.

    `degradations` counts decisions by what was missing, `refusals` has the place and
    the reason of each row that a door refused, `repeats` the place of each that was
    decided before the run; `follow_ups_refused` counts labels and
    events by why they were not taken.
    A record for a row that is no longer on its way is a duplicate or a stranger's.
    """

    path: Path
    sent: int = 0
    decided: int = 0
    degraded: int = 0
    degradations: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[Place, str]] = field(default_factory=list)
    repeats: list[Place] = field(default_factory=list)
    follow_ups_refused: Counter[str] = field(default_factory=Counter)
    _pending: dict[str, Row] = field(default_factory=dict)
    _columns: dict[str, list[Any]] = field(default_factory=dict)
    _writer: Any = None
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    def expect(self, rows: Iterable[Row]) -> None:
        """Note rows before they are sent."""
        for row in rows:
            self._pending[row.transaction.id] = row
            self.sent += 1

    def take(self, decision: decision_pb2.Decision) -> None:
        """Take in one decision; unknown ids are left out."""
        row = self._pending.pop(decision.core.transaction_id, None)
        if row is None:
            return
        self.decided += 1
        missing = degradations_of(decision.core)
        self.degraded += bool(missing)
        self.degradations.update(missing)
        self._append(row, decision)
        self._progress.set()

    def refuse(self, transaction_id: str, reason: str) -> None:
        """Note that a row has no decision, and why."""
        row = self._pending.pop(transaction_id, None)
        if row is None:
            return
        self.refusals.append((row.place, reason))
        self._progress.set()

    def pass_over(self, transaction_id: str) -> None:
        """Note that a row will have no decision now: it was decided before."""
        row = self._pending.pop(transaction_id, None)
        if row is not None:
            self.repeats.append(row.place)
            self._progress.set()

    @property
    def waiting(self) -> tuple[str, ...]:
        """The ids of rows sent and not yet answered, in order."""
        return tuple(self._pending)

    @property
    def pending(self) -> int:
        """Rows sent and not yet answered."""
        return len(self._pending)

    async def until_pending(self, count: int) -> None:
        """Wait until at most `count` rows are on their way.

        Raises `Unavailable` when nothing at all comes back for two minutes.
        """
        progressed_at = time.monotonic()
        while self.pending > count:
            self._progress.clear()
            try:
                await asyncio.wait_for(self._progress.wait(), 1.0)
                progressed_at = time.monotonic()
            except TimeoutError:
                if time.monotonic() - progressed_at > _STALLED_S:
                    raise Unavailable(
                        f"no decision came back for {_STALLED_S:.0f} s; "
                        f"{self.pending:,} transactions are waiting"
                    ) from None

    def close(self) -> None:
        """Write what is left; the file is complete afterwards."""
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def _append(self, row: Row, decision: decision_pb2.Decision) -> None:
        for name, value in decision_values(row, decision).items():
            self._columns.setdefault(name, []).append(value)
        if len(self._columns["id"]) >= _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._columns:
            return
        table = pa.table(self._columns, schema=decisions_schema())
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._columns = {}
