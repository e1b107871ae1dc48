"""The Handbook's published result is reproduced, and the trap in the defaults held.

Needs the Handbook's raw data and published features: SCORING_HANDBOOK_DATA names
their directory; without it these tests are skipped.
"""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_model import small_dataset

from scoring.errors import BadArtifact
from scoring.replay.learn import labelled_transactions_of
from scoring.tables.mapping import shipped_mapping
from scoring.tables.table import Table
from scoring.training.dataset import Dataset
from scoring.training.handbook.protocols import (
    BOOK_BOOSTING,
    CEILING,
    PUBLISHED_A,
    PUBLISHED_B,
    START_A,
    STARTS_B,
    STARTS_CHOICE,
    STOCK_BOOSTING,
    fold_of,
    run,
)


@pytest.fixture(scope="module")
def book(handbook_data):
    """The published features of days 101 to 157, with amount and truth."""
    features = pq.read_table(handbook_data / "fdh_golden_features_d101_d157.parquet")
    raw = pq.read_table(handbook_data / "fdh_raw.parquet")
    rows = features.join(raw, "TRANSACTION_ID").sort_by("TRANSACTION_ID")
    names = ["TX_AMOUNT", *(n for n in features.column_names if n != "TRANSACTION_ID")]
    columns = [rows[name].to_numpy().astype(np.float32) for name in names]
    at_ms = rows["TX_DATETIME"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    return Dataset(
        names=tuple(names),
        matrix=np.column_stack(columns),
        fraud=rows["TX_FRAUD"].to_numpy().astype(bool),
        occurred_at_ms=at_ms,
        customers=rows["CUSTOMER_ID"].to_numpy().astype(np.int64),
        amount_minor=np.zeros(len(at_ms), dtype=np.int64),
    )


def test_protocol_a_tests_the_published_number_of_rows_and_frauds(book):
    test = fold_of(book, START_A).test
    assert (test.sum(), book.fraud[test].sum()) == (58_264, 385)


def test_protocol_a_reproduces_the_published_xgboost(book):
    published = next(row for row in PUBLISHED_A if row.model == "XGBoost")
    found = run(book, [START_A], boosting=BOOK_BOOSTING).figures()
    assert found == pytest.approx(published.figures, abs=0.005)


def test_stock_xgboost_falls_into_the_trap(book):
    stock = run(book, [START_A], boosting=STOCK_BOOSTING).figures()
    assert stock[1] == pytest.approx(0.564, abs=0.02)


def read(path):
    return labelled_transactions_of(Table(path, shipped_mapping("handbook")))


def test_the_raw_table_is_read_as_transactions_without_its_answer_key(
    handbook_data, tmp_path
):
    raw = pq.read_table(handbook_data / "fdh_raw.parquet").slice(500_000, 20_000)
    pq.write_table(raw, tmp_path / "part.parquet")
    table = read(tmp_path / "part.parquet").sort_by("id")
    by_id = raw.append_column("id", raw["TRANSACTION_ID"].cast("string")).sort_by("id")
    assert table["id"].to_pylist() == by_id["id"].to_pylist()
    cents = np.rint(by_id["TX_AMOUNT"].to_numpy() * 100).astype(np.int64)
    assert table["amount_minor"].to_pylist() == cents.tolist()
    at_ms = by_id["TX_DATETIME"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    assert table["occurred_at_ms"].to_pylist() == at_ms.tolist()
    fraud = by_id["TX_FRAUD"].to_numpy().astype(bool)
    assert table["fraud"].to_pylist() == fraud.tolist()
    assert fraud.sum() > 0
    assert not any("scenario" in name.lower() for name in table.column_names)


def test_another_table_is_refused_with_the_columns_that_are_needed(tmp_path):
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(BadArtifact, match="has no column 'TRANSACTION_ID'"):
        read(tmp_path / "other.parquet")


def test_a_table_that_does_not_cover_the_weeks_is_refused():
    with pytest.raises(BadArtifact, match="does not cover"):
        fold_of(small_dataset(), START_A)


def test_the_weeks_for_choosing_end_before_the_weeks_for_testing_begin():
    # Test weeks begin two weeks after their training weeks.
    assert max(STARTS_CHOICE) + 14 + 7 <= min(STARTS_B) + 14


def test_nothing_published_lies_above_what_can_be_known():
    for row in PUBLISHED_B:
        assert all(x <= c for x, c in zip(row.figures, CEILING, strict=True))
