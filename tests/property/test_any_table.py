"""Any table of text is accounted for, row by row, and no token is altered."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.transaction.transaction import TOKEN_FIELDS, validate
from scoring.errors import BadArtifact
from scoring.tables.describe import describe
from scoring.tables.mapping import TableMapping, load_mapping
from scoring.tables.table import Table

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


def expected(mapping, row):
    """Each token as its cells have it."""
    return {
        field: "-".join(row[c] for c in mapping.columns_of(field))
        for field in TOKEN_FIELDS
        if field in mapping.columns
    }


def check(path, mapping: TableMapping, names, rows) -> None:
    table = Table(path, mapping)
    found = [row for batch in table.batches() for row in batch]
    account = table.account
    assert account.rows == len(rows)
    left_out = account.refused.total() + account.skipped.total()
    assert len(found) + left_out == len(rows)
    for row in found:
        validate(row.transaction)
        cells = dict(zip(names, rows[row.place.number - 1], strict=True))
        for field, token in expected(mapping, cells).items():
            said = getattr(row.transaction, field)
            assert said == token or (not said and not token.strip()), field


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@settings(max_examples=settings.default.max_examples // 2)
@given(table=TABLES)
def test_every_row_is_accounted_for_and_no_token_is_altered(
    tmp_path_factory, kind, table
):
    names, rows = table
    path = tmp_path_factory.mktemp("t") / f"t.{kind}"
    written(path, names, rows, kind)
    said = {field: c for field, c in MAPPING.items() if c in names}
    whole = {"row_numbers_as_ids": "id" not in said, "columns": said}
    told = {f: "1" for f in ("amount",) if f not in said}
    told |= {"occurred_at": "2024-03-01"} if "occurred_at" not in said else {}
    told |= {"currency": "EUR"} if "currency" not in said else {}
    try:
        check(path, TableMapping(**whole, constants=told), names, rows)
    except BadArtifact:
        if rows:  # JSON lines without a line have no columns
            raise


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@settings(max_examples=settings.default.max_examples // 2)
@given(table=TABLES)
def test_what_is_proposed_reads_the_table_or_a_question_is_asked(
    tmp_path_factory, kind, table
):
    names, rows = table
    path = tmp_path_factory.mktemp("t") / f"t.{kind}"
    written(path, names, rows, kind)
    try:
        proposal = describe(path)
    except BadArtifact:
        if rows:
            raise
        return
    if proposal.complete:
        check(path, load_mapping(proposal.text, name="proposal"), names, rows)
    else:
        assert proposal.asked
