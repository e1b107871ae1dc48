"""The Handbook's raw table as transactions of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadArtifact

_COLUMNS = (
    "TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT",
    "TX_FRAUD",
)  # fmt: skip


def read_handbook(path: Path) -> Any:
    """Read the raw data (Parquet) as a pyarrow table of our fields and `fraud`.

    The naive times are taken as UTC, amounts as euro cents. The scenario column is
    not read: it is an answer key. Raises `BadArtifact` for another table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        raw = pq.read_table(path, columns=list(_COLUMNS))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise BadArtifact(
            f"{path}: is not the Handbook's raw data in Parquet "
            f"(columns {', '.join(_COLUMNS)}): {error}"
        ) from error
    columns = {name: raw[name].to_numpy() for name in _COLUMNS}
    at_ms = columns["TX_DATETIME"].astype("datetime64[ms]").astype(np.int64)
    return pa.table(
        {
            "occurred_at_ms": pa.array(at_ms),
            "id": pa.array(columns["TRANSACTION_ID"]).cast(pa.string()),
            "amount_minor": pa.array(cents(columns["TX_AMOUNT"])),
            "currency": pa.array(["EUR"] * raw.num_rows),
            "customer": pa.array(columns["CUSTOMER_ID"]).cast(pa.string()),
            "terminal": pa.array(columns["TERMINAL_ID"]).cast(pa.string()),
            "fraud": pa.array(columns["TX_FRAUD"].astype(bool)),
        }
    )


def cents(amounts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Major units with two decimals as integer cents.

    >>> cents(np.array([0.29, 57.16])).tolist()
    [29, 5716]
    """
    return np.rint(amounts * 100).astype(np.int64)
