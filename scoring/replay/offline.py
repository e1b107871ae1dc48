"""The same rows scored offline: features by SQL, the same bundle, no service."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from scoring.core.catalogue import Catalogue
from scoring.core.transaction import Transaction
from scoring.ports import Model
from scoring.replay.table import Row, Table

_ROWS_PER_PREDICT = 8_192


@dataclass(frozen=True, slots=True)
class Agreement:
    """Decided online against scored offline, over the rows in both."""

    rows: int
    missing: int
    score_difference_max: float
    features_differing: dict[str, int]


def agreement(
    table: Table,
    decisions: Path,
    *,
    catalogue: Catalogue,
    model: Model,
    label_delay_ms: int,
) -> Agreement:
    """Score a table offline and compare with a decisions file of the same rows."""
    import duckdb

    from scoring.training.offline import offline_features

    rows = list(chain.from_iterable(table.batches(label_delay_ms=label_delay_ms)))
    with duckdb.connect() as con:
        con.register("transactions", transactions_of(rows))
        con.register("labels", labels_of(rows))
        found = offline_features(con, catalogue, "transactions", "labels")
    scores = np.concatenate(
        [
            model.predict(found.matrix[start : start + _ROWS_PER_PREDICT]).probability
            for start in range(0, len(found.matrix), _ROWS_PER_PREDICT)
        ]
    )
    place = {str(id_): i for i, id_ in enumerate(found.ids)}
    return _compared(decisions, place, found.matrix, scores, catalogue.names)


def transactions_of(rows: list[Row]) -> Any:
    """Rows as a pyarrow table of our fields."""
    import pyarrow as pa

    names = [name for name in Transaction.__slots__ if name != "attributes"]
    columns: dict[str, Any] = {
        name: [getattr(row.transaction, name) for row in rows] for name in names
    }
    for name in ("latitude", "longitude"):
        columns[name] = pa.array(columns[name], pa.float64())
    return pa.table(columns)


def labels_of(rows: list[Row]) -> Any:
    """What the rows' labels say, as a pyarrow table, one version each."""
    import pyarrow as pa

    known = [row for row in rows if row.fraud is not None]
    return pa.table(
        {
            "tenant": pa.array([row.transaction.tenant for row in known], pa.string()),
            "transaction_id": pa.array(
                [row.transaction.id for row in known], pa.string()
            ),
            "version": pa.array([1] * len(known), pa.int64()),
            "fraud": pa.array([row.fraud for row in known], pa.bool_()),
            "known_at_ms": pa.array([row.known_at_ms for row in known], pa.int64()),
        }
    )


def _compared(
    decisions: Path,
    place: dict[str, int],
    matrix: Any,
    scores: Any,
    names: tuple[str, ...],
) -> Agreement:
    import pyarrow.parquet as pq

    found, difference = 0, 0.0
    differing = np.zeros(len(names), dtype=np.int64)
    file = pq.ParquetFile(decisions)
    for batch in file.iter_batches(
        _ROWS_PER_PREDICT, columns=["id", "score", "features"]
    ):
        ours = batch.to_pydict()
        rows = np.array([place.get(id_, -1) for id_ in ours["id"]])
        known = rows >= 0
        found += int(known.sum())
        online = np.array(ours["score"], dtype=np.float64)[known]
        gaps = np.abs(online - scores[rows[known]])
        # A missing score would compare as NaN and hide: it is a difference of one.
        difference = max(difference, float(np.nan_to_num(gaps, nan=1.0).max(initial=0)))
        served = np.array(ours["features"], dtype=np.float32)[known]
        offline = matrix[rows[known]]
        same = (served == offline) | (np.isnan(served) & np.isnan(offline))
        differing += (~same).sum(axis=0)
    return Agreement(
        rows=found,
        missing=len(place) - found,
        score_difference_max=difference,
        features_differing={
            n: int(c) for n, c in zip(names, differing, strict=True) if c
        },
    )
