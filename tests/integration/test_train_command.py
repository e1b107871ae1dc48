"""`scoring train` on tables of any columns."""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.errors import BadArtifact
from scoring.models.registry import ModelShelf
from scoring.training.simulation.simulate import World, simulate

OURS = "town.parquet"
MAPPING = """
columns: {id: txid, occurred_at: paid, card: token, terminal: till, amount: eur,
  fraud: chargeback}
constants: {currency: EUR}
amount_unit: major
label_delay: 2d
"""
COLUMNS = (
    "id AS txid, make_timestamp(occurred_at_ms * 1000) AS paid, card AS token, "
    "terminal AS till, amount_minor / 100 AS eur, fraud AS chargeback"
)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Runs `scoring train` in a directory with a town in it; returns the versions."""
    monkeypatch.chdir(tmp_path)
    world = World(seed=5, days=12, customers=150, terminals=1_500)
    pq.write_table(simulate(world), OURS)
    (tmp_path / "payments.yaml").write_text(MAPPING)

    def run(*words):
        words = ["train", *words, "--rounds", "5", "--depth", "2", "--out", "m"]
        done = CliRunner().invoke(assemble(), words)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return {m.version for m in ModelShelf(tmp_path / "m").versions()}

    return run


def table(columns, name):
    duckdb.sql(f"COPY (SELECT {columns} FROM '{OURS}') TO '{name}'")  # noqa: S608


def test_a_csv_of_other_columns_gives_the_model_that_the_same_rows_of_ours_give(train):
    table(COLUMNS, "payments.csv")
    mapped = train("payments.csv", "--mapping", "payments.yaml")
    ours = "id, occurred_at_ms, card, terminal, amount_minor, currency, fraud"
    table(ours, "ours.parquet")
    assert len(mapped) == 1
    assert train("ours.parquet", "--label-delay-days", "2") == mapped


def test_a_mapping_without_a_label_is_refused_with_what_is_missing(train, tmp_path):
    table(COLUMNS, "payments.csv")
    without = MAPPING.replace("  fraud: chargeback", "")
    (tmp_path / "payments.yaml").write_text(without)
    with pytest.raises(BadArtifact, match="names no column for fraud"):
        train("payments.csv", "--mapping", "payments.yaml")


def test_a_mapping_without_whom_to_count_is_refused_before_any_work(train, tmp_path):
    table(COLUMNS, "payments.csv")
    (tmp_path / "payments.yaml").write_text(MAPPING.replace("card: token, ", ""))
    with pytest.raises(BadArtifact, match="lacks both customer and card"):
        train("payments.csv", "--mapping", "payments.yaml")


def test_columns_that_are_not_obvious_lead_to_a_mapping(train):
    table("id AS a, fraud AS b", "odd.csv")
    with pytest.raises(BadArtifact, match=r"scoring replay --describe odd\.csv"):
        train("odd.csv")
