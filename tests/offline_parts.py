"""A stream of payments and its labels as the offline engine takes them."""

import json
from dataclasses import replace

import duckdb
import pyarrow as pa
from streams import LATENESS_MS

from scoring.core.transaction.transaction import MAP_FIELDS, Transaction
from scoring.training.offline.engine import OfflineInput, offline_features


def offline(catalogue, stream, known, *, seq=None, outcomes=None, events=None):
    """Every feature of a stream; `seq` is its order of processing."""
    con = duckdb.connect()
    fields = [f for f in Transaction.__slots__ if f not in MAP_FIELDS]
    columns = {f: [getattr(t, f) for t in stream] for f in fields}
    columns |= {
        f: pa.array(columns[f], pa.float64()) for f in ("latitude", "longitude")
    }
    for name in MAP_FIELDS:
        columns[name] = [json.dumps(getattr(t, name)) for t in stream]
    if outcomes is not None:
        columns["outcome"] = outcomes
    if seq is not None:
        columns["processed_seq"] = seq
    con.register("payments", pa.table(columns))
    con.register(
        "labels",
        pa.table(
            {
                "transaction_id": [k.transaction.id for k in known],
                "version": pa.array([k.version for k in known], pa.int64()),
                "fraud": pa.array([k.fraud for k in known], pa.bool_()),
                "known_at_ms": pa.array([k.known_at_ms for k in known], pa.int64()),
            }
        ),
    )
    views = OfflineInput("payments", "labels", lateness_ms=LATENESS_MS)
    if events is not None:
        con.register("events", events)
        views = replace(views, events="events")
    return offline_features(con, catalogue, views)
