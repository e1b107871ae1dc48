"""The decisions file of a replay as a source of decided payments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa

from scoring import wire
from scoring.backtest.source import DAY_MS, JudgedSpan
from scoring.core.features.catalogue import Catalogue
from scoring.errors import BadArtifact
from scoring.history.rows import DECISIONS, TRANSACTION_FIELDS
from scoring.replay.decisions import view
from scoring.v1 import transaction_pb2

_ROWS_PER_CHUNK = 100_000
_USUAL = 0.95
_READ = (
    *("transaction", "outcome", "score", "degradations", "features", "fraud"),
    *("policy_version", "features_version"),
)


@dataclass(frozen=True, slots=True)
class ReplayedSource:
    """One decisions file; what its table says of fraud is what became known.

    Nothing of it was decided for a customer, so that no payment counts as declined.
    """

    path: Path
    catalogue: Catalogue

    def span(self, con: Any, days: int, delay_days: int | None) -> JudgedSpan:
        """As `PaidSource`."""
        view(con, "run", self.path)
        ((newest, known, usual, count, old),) = con.execute(
            f"""SELECT max(occurred_at_ms),
                max(known_at_ms) FILTER (fraud IS NOT NULL), quantile_disc(
                known_at_ms - occurred_at_ms, {_USUAL}) FILTER (fraud),
                count(*), count(*) FILTER (transaction IS NULL) FROM run"""  # noqa: S608
        ).fetchall()
        if not count:
            raise BadArtifact(f"{self.path}: has no decisions")
        if old:
            raise BadArtifact(
                f"{self.path}: is of an earlier release; replay the table again"
            )
        delay_ms = None if usual is None else ceil(usual / DAY_MS) * DAY_MS
        if delay_days is not None:
            delay_ms = delay_days * DAY_MS
        until = int(newest) + 1
        now = max(int(newest), int(known or 0))
        newest_ms = None if known is None else int(known)
        return JudgedSpan(
            until - days * DAY_MS, until, now, delay_ms, newest_label_ms=newest_ms
        )

    def chunks(self, con: Any, span: JudgedSpan) -> Iterator[float]:
        """As `PaidSource`; the payments are read from their messages."""
        where = span.where
        ((count,),) = con.execute(f"SELECT count(*) FROM run WHERE {where}").fetchall()  # noqa: S608
        # Read by another cursor: a chunk's own queries would end the reading.
        reader = con.cursor()
        view(reader, "run", self.path)
        found = reader.sql(f"SELECT {', '.join(_READ)} FROM run WHERE {where}")  # noqa: S608
        done = 0
        for batch in found.to_arrow_reader(_ROWS_PER_CHUNK):
            done += len(batch)
            con.register("replayed", _table(batch.to_pylist()))
            self._make(con)
            yield done / count
        reader.close()

    def _make(self, con: Any) -> None:
        version, n = self.catalogue.version, len(self.catalogue.names)
        con.execute(
            f"""CREATE OR REPLACE TEMP VIEW paid AS
            SELECT *, 0 AS recorded, fraud AS told_fraud, NULL::VARCHAR AS told_source,
                false AS refunded, false AS accepted, false AS never_paid,
                NULL::DOUBLE AS let_through,
                CASE WHEN features_version <> '{version}'
                    OR len(features) NOT IN (0, {n}) THEN 'other definitions'
                END AS unfit
            FROM replayed"""  # noqa: S608
        )


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """The rows with a column for each field of their payments."""
    schema = pa.schema(
        [
            *(DECISIONS.field(name) for name in TRANSACTION_FIELDS),
            *(DECISIONS.field(name) for name in ("outcome", "score", "degradations")),
            *(DECISIONS.field(n) for n in ("features", "policy_version")),
            DECISIONS.field("features_version"),
            pa.field("fraud", pa.bool_()),
        ]
    )
    parsed = []
    for row in rows:
        message = transaction_pb2.Transaction.FromString(row.pop("transaction"))
        payment = wire.accepted_from_proto(message)
        parsed.append(row | {n: getattr(payment, n) for n in TRANSACTION_FIELDS})
    return pa.Table.from_pylist(parsed, schema=schema)
