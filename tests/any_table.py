"""Tables of any text, as three kinds of file."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

NAMES = (
    "id", "timestamp", "amount", "currency", "card", "customer", "merchant", "device",
    "is_fraud", "category", "lat", "long", "Target", "step", "a,b", "é",
)  # fmt: skip
CELLS = st.one_of(
    st.sampled_from([
        "", " ", "0042", "7e0", "1001.0", "nan", "NULL", "-1", "0", "1", "2", "0.4",
        "EUR",
        "usd", "ZZZ", "19.99", "1.234,56", "$134.09", "1e400", "-0", "1e-400",
        "2024-03-01T10:00:00Z", "2024-03-01", "04/05/2024", "1709287200", "+99:99",
        "2024-03-01T10:00:00+99:99", "99999999999999999999999", "4111111111111111",
        "yes", "fraud", "a\nb", 'say "x"', "a;b", "\ufeff", "\u202e", "=1+1", "\x00",
        "90.0", "-180", "5411", "misc_net", "é" * 129, "true", "²", "１２",
        "0001-01-01",
        "9999-12-31T23:59:59-23:59", "Infinity", "1_000",
    ]),
    st.text(max_size=12),
)  # fmt: skip
TABLES = st.lists(st.sampled_from(NAMES), min_size=1, max_size=12, unique=True).flatmap(
    lambda names: st.tuples(
        st.just(names),
        st.lists(
            st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=200
        ),
    )
)
MAPPING = {"id": "id", "occurred_at": "timestamp", "amount": "amount"} | {
    field: field for field in ("currency", "card", "customer", "merchant", "device")
}


def written(path, names, rows, kind):
    if kind == "csv":
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([names, *rows])
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
    elif kind == "jsonl":
        objects = [dict(zip(names, row, strict=True)) for row in rows]
        path.write_text("".join(json.dumps(o) + "\n" for o in objects))
    else:
        columns = {n: [row[i] for row in rows] for i, n in enumerate(names)}
        pq.write_table(
            pa.table({n: pa.array(c, pa.string()) for n, c in columns.items()}), path
        )
