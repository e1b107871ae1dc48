"""What came back for each row that was sent, written to Parquet as it comes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from scoring import wire
from scoring.core.decision import DegradationCode
from scoring.errors import Unavailable
from scoring.replay.account import Place
from scoring.replay.admission import Row
from scoring.v1 import decision_pb2

_ROWS_PER_GROUP = 20_000
_STALLED_S = 120.0


@dataclass(slots=True)
class Collector:
    """Rows on their way, and the Parquet file of those that are decided.

    `degradations` counts decisions by what was missing, `refusals` has the place and
    the reason of each row that a door refused.
    A record for a row that is no longer on its way is a duplicate or a stranger's.
    """

    path: Path
    sent: int = 0
    decided: int = 0
    repeated: int = 0
    degraded: int = 0
    degradations: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[Place, str]] = field(default_factory=list)
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
        """Take in one decision; unknown ids are counted and left out."""
        row = self._pending.pop(decision.core.transaction_id, None)
        if row is None:
            self.repeated += 1
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
        core, trace = decision.core, decision.trace
        transaction = row.transaction
        values = {
            "id": transaction.id,
            "occurred_at_ms": transaction.occurred_at_ms,
            "customer": transaction.customer or transaction.card,
            "outcome": decision_pb2.Outcome.Name(core.outcome).removeprefix("OUTCOME_"),
            "score": core.score if core.HasField("score") else None,
            "margin": core.margin if core.HasField("margin") else None,
            "degraded": bool(core.degradations),
            "degradations": degradations_of(core),
            "second_look": decision_pb2.SecondLook.Name(core.second_look).removeprefix(
                "SECOND_LOOK_"
            ),
            "core_sha256": sha256(core.SerializeToString(deterministic=True)).digest(),
            "processed_seq": trace.processed_seq,
            "decided_at_ms": wire.ms_from_timestamp(trace.decided_at),
            "features": list(core.features),
            "fraud": row.fraud,
            "known_at_ms": row.known_at_ms,
        }
        for name, value in values.items():
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


def degradations_of(core: decision_pb2.DecisionCore) -> list[str]:
    """What was missing, each code once, as the archive names them.

    >>> code = decision_pb2.DEGRADATION_CODE_TOO_LATE
    >>> late = decision_pb2.Degradation(code=code)
    >>> degradations_of(decision_pb2.DecisionCore(degradations=[late, late]))
    ['too_late']
    """
    codes = (DegradationCode(missing.code) for missing in core.degradations)
    return list(dict.fromkeys(code.name.lower() for code in codes))


def decisions_schema() -> Any:
    """Columns of the decisions file."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("occurred_at_ms", pa.int64()),
            ("customer", pa.string()),
            ("outcome", pa.string()),
            ("score", pa.float64()),
            ("margin", pa.float32()),
            ("degraded", pa.bool_()),
            ("degradations", pa.list_(pa.string())),
            ("second_look", pa.string()),
            ("core_sha256", pa.binary(32)),
            ("processed_seq", pa.uint64()),
            ("decided_at_ms", pa.int64()),
            ("features", pa.list_(pa.float32())),
            ("fraud", pa.bool_()),
            ("known_at_ms", pa.int64()),
        ]
    )
