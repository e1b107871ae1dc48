"""A table becomes transactions exactly, whatever file it comes in."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from scoring.core.transaction.transaction import order_hash, validate
from scoring.errors import BadArtifact
from scoring.tables.cells import amount_minor
from scoring.tables.describe import describe, mapping_for, propose
from scoring.tables.mapping import (
    SHIPPED,
    load_mapping,
    shipped_mapping,
)
from scoring.tables.source import open_source
from scoring.tables.table import Span, Table

HANDBOOK_ROWS = """
    SELECT * FROM (VALUES
        (2, TIMESTAMP '2018-04-01 10:00:05.1239', 7, 70, 57.16::DOUBLE, 0),
        (0, TIMESTAMP '2018-04-01 00:00:31', 596, 3156, 1.005::DOUBLE, 1),
        (1, TIMESTAMP '2018-04-01 00:00:31', 4961, 3412, 81.51::DOUBLE, 0)
    ) AS t(TRANSACTION_ID, TX_DATETIME, CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT, TX_FRAUD)
"""
FORMATS = {
    "parquet": "(FORMAT parquet)",
    "csv": "(FORMAT csv, HEADER)",
    "jsonl": "(FORMAT json)",
    "csv.gz": "(FORMAT csv, HEADER, COMPRESSION gzip)",
}


@pytest.fixture(params=FORMATS)
def handbook_file(request, tmp_path) -> Path:
    path = tmp_path / f"a table.{request.param}"
    target = str(path).replace("'", "''")
    duckdb.sql(f"COPY ({HANDBOOK_ROWS}) TO '{target}' {FORMATS[request.param]}")
    return path


def rows_of(path, mapping, **options):
    return [row for batch in Table(path, mapping, **options).batches() for row in batch]


def test_every_format_gives_the_same_valid_transactions(handbook_file):
    rows = rows_of(handbook_file, shipped_mapping("handbook"))
    for row in rows:
        validate(row.transaction)
    found = {
        row.transaction.id: (
            row.transaction.occurred_at_ms,
            row.transaction.amount_minor,
            row.transaction.currency,
            row.transaction.customer,
            row.transaction.card,
            row.transaction.terminal,
            row.fraud,
        )
        for row in rows
    }
    early = int(datetime(2018, 4, 1, 0, 0, 31, tzinfo=UTC).timestamp() * 1000)
    late = int(datetime(2018, 4, 1, 10, 0, 5, tzinfo=UTC).timestamp() * 1000) + 123
    assert found == {
        "0": (early, 100, "EUR", "596", "596", "3156", True),
        "1": (early, 8151, "EUR", "4961", "4961", "3412", False),
        "2": (late, 5716, "EUR", "7", "7", "70", False),
    }


def test_rows_come_in_event_order_with_ties_broken_by_the_id_hash(handbook_file):
    rows = rows_of(handbook_file, shipped_mapping("handbook"))
    keys = [(r.transaction.occurred_at_ms, order_hash(r.transaction.id)) for r in rows]
    assert keys == sorted(keys)
    assert len(keys) == 3


def test_labels_become_known_after_their_delay(handbook_file):
    row = rows_of(handbook_file, shipped_mapping("handbook"))[0]
    assert row.known_at_ms - row.transaction.occurred_at_ms == 7 * 86_400_000


def test_a_span_is_half_open(handbook_file):
    mapping = shipped_mapping("handbook")
    instant = rows_of(handbook_file, mapping)[-1].transaction.occurred_at_ms
    before = rows_of(handbook_file, mapping, span=Span(0, instant))
    after = rows_of(handbook_file, mapping, span=Span(instant))
    assert (len(before), len(after)) == (2, 1)
    assert len(Table(handbook_file, mapping, span=Span(instant))) == 1


def test_our_own_simulated_tables_need_no_mapping(tmp_path):
    path = tmp_path / "own.parquet"
    columns = shipped_mapping("scoring").columns
    numbers = {"occurred_at_ms": 1_522_540_831_000, "amount_minor": 5, "attempt": 1}
    numbers |= {"channel": 2, "entry_mode": 5}
    parts = [
        f"{numbers[c]} AS {c}"
        if c in numbers
        else f"NULL::DOUBLE AS {c}"
        if c in ("latitude", "longitude")
        else f"true AS {c}"
        if c == "fraud"
        else f"'EUR' AS {c}"
        if c == "currency"
        else f"'' AS {c}"
        if c.endswith(("country", "category")) or c == "ip"
        else f"'{c}-1' AS {c}"
        for c in columns.values()
    ]
    duckdb.sql(f"COPY (SELECT {', '.join(parts)}) TO '{path}' (FORMAT parquet)")
    mapping = mapping_for(set(open_source(path).columns))
    assert mapping == shipped_mapping("scoring")
    (row,) = rows_of(path, mapping)
    validate(row.transaction)
    assert row.transaction.amount_minor == 5
    assert row.transaction.latitude is None
    assert row.fraud is True


@pytest.mark.parametrize(
    ("major", "digits", "minor"),
    [
        ("0.005", 2, 0),
        ("0.015", 2, 2),
        ("2.675", 2, 268),
        ("1E+2", 2, 10_000),
        ("100", 0, 100),
        ("1.2345", 3, 1234),
    ],
)
def test_amounts_round_half_to_even_and_never_pass_through_a_float(
    major, digits, minor
):
    assert amount_minor(major, digits) == minor


def test_every_two_decimal_amount_up_to_ten_thousand_is_exact():
    for minor in range(0, 1_000_000, 7):
        assert amount_minor(repr(minor / 100), 2) == minor
        assert Decimal(minor) == minor


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("columns: {id: a, occurred_at: b, amount: c}\n", "currency must be named"),
        ("columns: {idd: a}\n", "idd is not a field"),
        ("columns: {}\nlabel_dela: 7d\n", "did you mean 'label_delay'"),
        ("columns: {}\nlabel_delay: soon\n", "such as 7d"),
        ("columns: [1", "not YAML"),
    ],
)
def test_a_bad_mapping_is_refused_with_its_line_and_remedy(text, problem):
    with pytest.raises(BadArtifact, match=r"m\.yaml:") as refusal:
        load_mapping(text, name="m.yaml")
    assert problem in str(refusal.value)


def test_a_mapping_to_a_column_that_is_not_there_says_which_are(handbook_file):
    mapping = shipped_mapping("scoring")
    with pytest.raises(BadArtifact, match="it has TRANSACTION_ID"):
        Table(handbook_file, mapping)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"not a table")
    with pytest.raises(BadArtifact, match="cannot be read as a table"):
        Table(path, shipped_mapping("handbook"))
    with pytest.raises(BadArtifact, match="is none of"):
        Table(Path(__file__), shipped_mapping("handbook"))
    with pytest.raises(BadArtifact, match="no such file"):
        Table(tmp_path / "absent.csv", shipped_mapping("handbook"))


def test_the_proposal_for_handbook_columns_is_the_shipped_mapping(handbook_file):
    proposal = describe(handbook_file)
    assert load_mapping(proposal.text, name="proposal") == shipped_mapping("handbook")


def test_a_proposal_for_a_foreign_table_loads_and_names_what_it_assumed():
    columns = ["trans_num", "unix_time", "amt", "cc_num", "merchant", "is_fraud"]
    sample = {"unix_time": ["1325376018"], "cc_num": ["4111111111111111"]}
    proposal = propose(columns, sample)
    mapping = load_mapping(proposal.text, name="proposal")
    assert mapping.time.unit == "s"
    assert mapping.columns["id"] == "trans_num"
    assert any("holds card numbers" in remark for remark in proposal.remarks)
    assert any("EUR is assumed" in remark for remark in proposal.remarks)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_mappings_load(name):
    assert "id" in shipped_mapping(name).columns
