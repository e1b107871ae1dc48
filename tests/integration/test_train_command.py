"""`scoring train` on tables of any columns."""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.errors import BadArtifact
from scoring.models.registry import ModelRegistry
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

    def run(*words, status=0):
        words = ["train", *words, "--rounds", "5", "--depth", "2", "--out", "m"]
        done = CliRunner().invoke(assemble(), words)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == status, done.output
        return {m.version for m in ModelRegistry(tmp_path / "m").versions()}

    return run


DECLINES = """
name: declines
currency: {reference: EUR}
entities: {card: card}
features:
  - {name: amount, statistic: value, expression: amount, reason_group: AMOUNT,
     description: the amount}
  - {name: "card_declined_{window}", entity: card, statistic: count, windows: [1d],
     filter: "outcome == 'DECLINE'", reason_group: CARD,
     description: declined attempts of the card}
"""


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


def test_features_that_count_declines_are_trained_from_a_plain_table(train, tmp_path):
    declined = "CASE WHEN hash(id) % 9 = 0 THEN 'NOT OK' ELSE 'OK' END AS answer"
    table(f"{COLUMNS}, {declined}", "payments.csv")
    said = MAPPING.replace("fraud: ", "outcome: answer, fraud: ")
    said += "outcomes: {approve: [OK], decline: [NOT OK]}\n"
    (tmp_path / "payments.yaml").write_text(said)
    (tmp_path / "declines.yaml").write_text(DECLINES)
    words = ("--mapping", "payments.yaml", "--features", "declines.yaml")
    assert len(train("payments.csv", *words)) == 1


def test_a_model_of_what_is_left_ends_with_1_and_lists_what_was_refused(
    train, tmp_path
):
    table(COLUMNS, "payments.csv")
    with (tmp_path / "payments.csv").open("a") as out:
        out.write("last,2024-13-01,c,t,1.00,false\n")
    words = ("payments.csv", "--mapping", "payments.yaml")
    assert len(train(*words, status=1)) == 1
    listed = (tmp_path / ".scoring/tables/payments.left-out.csv").read_text()
    assert listed.splitlines()[1].startswith("refused,payments.csv,")
    with pytest.raises(BadArtifact, match=r"row \d+: paid: .*--strict ends here"):
        train(*words, "--strict")


def test_a_directory_that_is_no_archive_is_a_table_in_parts(train, tmp_path):
    table(COLUMNS, "whole.parquet")
    whole = train("whole.parquet", "--mapping", "payments.yaml")
    (tmp_path / "parts").mkdir()
    for part in range(3):
        columns = f"{COLUMNS}, hash(id) % 3 AS part"
        where = f"SELECT * EXCLUDE part FROM (SELECT {columns} FROM '{OURS}')"  # noqa: S608
        duckdb.sql(f"COPY ({where} WHERE part = {part}) TO 'parts/part-{part}.parquet'")
    assert train("parts", "--mapping", "payments.yaml") == whole
