"""An archive of decisions as large as is asked for, for `benchmarks.console`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scoring.core.features.catalogue import default_catalogue
from scoring.history.archive import write
from scoring.history.rows import DECISIONS
from scoring.v1 import decision_pb2

DAYS, DAY_MS = 28, 86_400_000


def archived(directory: Path, rows: int, first_ms: int) -> None:
    """An archive of that many decisions of 28 days, with vectors and records."""
    chance, per_day = np.random.default_rng(1), max(rows // DAYS, 1)
    for day in range(DAYS):
        folder = directory / "decisions" / f"day={_day(first_ms + day * DAY_MS)}"
        folder.mkdir(parents=True)
        table = _day_of_payments(chance, day, per_day, first_ms + day * DAY_MS)
        write(folder / f"p0-{day * per_day}-{(day + 1) * per_day}.parquet", table)
    noted = {"decisions": {"0": DAYS * per_day}}
    (directory / "offsets.json").write_text(json.dumps(noted))


def _day_of_payments(
    chance: np.random.Generator, day: int, count: int, first_ms: int
) -> pa.Table:
    def names(prefix: str, different: int) -> list[str]:
        return [f"{prefix}-{n}" for n in chance.integers(0, different, count)]

    catalogue = default_catalogue()
    ids = [f"t-{day}-{n}" for n in range(count)]
    vectors = chance.normal(size=(count, len(catalogue.names))).astype("f4")
    known: dict[str, Any] = {
        "tenant": ["default"] * count,
        "id": ids,
        "payment_id": [f"p-{each}" for each in ids],
        "occurred_at_ms": first_ms + chance.integers(0, DAY_MS, count),
        "amount_minor": chance.integers(100, 100_000, count),
        "currency": ["EUR"] * count,
        "card": names("card", 200_000),
        "customer": names("customer", 150_000),
        "device": names("device", 100_000),
        "email": names("mail", 150_000),
        "ip": names("ip", 80_000),
        "merchant": names("shop", 500),
        "outcome": ["decline"] * count,
        "score": chance.random(count),
        "provisional": [False] * count,
        "decision": [_decision(each, catalogue.version, 500) for each in ids],
        "features": list(vectors),
        "log_partition": [0] * count,
        "log_offset": np.arange(count) + day * count,
    }
    nothing = [None] * count
    columns = [pa.array(known.get(f.name, nothing), type=f.type) for f in DECISIONS]
    return pa.table(columns, schema=DECISIONS)


def _decision(transaction_id: str, features: str, trace_bytes: int) -> bytes:
    told = decision_pb2.Decision()
    told.core.tenant, told.core.transaction_id = "default", transaction_id
    told.core.outcome = decision_pb2.OUTCOME_DECLINE
    told.core.versions.features = features
    told.core.reasons.add(code="CARD_VELOCITY_LIMIT", wording="x" * trace_bytes)
    return told.SerializeToString()


def _day(ms: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(ms / 1_000))
