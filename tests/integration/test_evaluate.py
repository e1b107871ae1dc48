"""`scoring evaluate handbook` from end to end, on a small world over the same days."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from scoring.cli import evaluate
from scoring.training import second_look
from scoring.training.fit import Boosting
from scoring.training.handbook import protocols as handbook
from scoring.training.simulation.simulate import World, simulate

BEGIN_MS = int(datetime(2018, 4, 10, tzinfo=UTC).timestamp() * 1_000)
# Few are defrauded: whoever was is not tested again.
WORLD = World(
    seed=3, start_ms=BEGIN_MS, days=150, customers=90, terminals=180, radius=20.0,
    terminals_compromised_per_day=0, customers_compromised_per_day=1,
    card_testing_per_day=0.0, takeovers_per_day=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A table with the Handbook's columns."""
    world = simulate(WORLD)
    at = world["occurred_at_ms"].to_numpy().astype("datetime64[ms]")
    path = tmp_path_factory.mktemp("book") / "raw.parquet"
    columns = {
        "TRANSACTION_ID": np.arange(world.num_rows),
        "TX_DATETIME": at.astype("datetime64[ns]"),
        "CUSTOMER_ID": world["customer"],
        "TERMINAL_ID": world["terminal"],
        "TX_AMOUNT": world["amount_minor"].to_numpy() / 100,
        "TX_FRAUD": world["fraud"].to_numpy(zero_copy_only=False).astype(np.int64),
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few and small models: what is tested is the way, not the figures."""
    small = (Boosting(rounds=2, depth_max=2), Boosting(rounds=20, rate=0.3))
    monkeypatch.setattr(handbook, "CANDIDATES", small)
    monkeypatch.setattr(handbook, "BEST_PUBLISHED", small[0])
    monkeypatch.setattr(handbook, "DRAWS", 5)


def test_the_last_line_sets_published_against_ours_for_both_windows(raw):
    result = CliRunner().invoke(evaluate.app, ["handbook", "--data", str(raw)])
    assert result.exit_code == 0, result.output
    line = json.loads(result.stdout.splitlines()[-1])
    assert line["published"]["XGBoost"]["average_precision"] == 0.694
    for window in ("week", "long"):
        ours = line["ours"][window]
        low, high = ours["interval"]["average_precision"]
        assert 0 < low <= high <= 1
        log = line[f"selection_{window}"]
        assert [candidate["rounds"] for candidate in log] == [2, 20]


def test_labels_of_the_weeks_that_test_change_no_choice(raw):
    table = pq.read_table(raw)
    days = table["TX_DATETIME"].to_numpy().astype("datetime64[D]").astype(np.int64)
    tested = days >= min(handbook.STARTS_B) + handbook.WEEK_DAYS
    fraud = table["TX_FRAUD"].to_numpy()
    turned = raw.with_name("turned.parquet")
    place = table.column_names.index("TX_FRAUD")
    column = pa.array(np.where(tested, 1 - fraud, fraud))
    pq.write_table(table.set_column(place, "TX_FRAUD", column), turned)
    logs = [chosen(path) for path in (raw, turned)]
    assert logs[0] == logs[1]


def chosen(path):
    from scoring.core.features.catalogue import handbook_catalogue
    from scoring.replay.learn import labelled_transactions_of
    from scoring.tables.mapping import shipped_mapping
    from scoring.tables.table import Table
    from scoring.training.train import dataset_of

    delay_ms = handbook.DELAY_DAYS * 86_400_000
    rows = labelled_transactions_of(Table(path, shipped_mapping("handbook")))
    dataset = dataset_of(rows, handbook_catalogue(), label_delay_ms=delay_ms)
    return handbook.choose(dataset)


def test_what_looking_again_gives_and_costs_is_said_of_each_window(raw, monkeypatch):
    monkeypatch.setattr(second_look, "LARGER", Boosting(rounds=30, rate=0.2))
    result = CliRunner().invoke(
        evaluate.app,
        ["handbook", "--data", str(raw), "--window", "week", "--second-look"],
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])["second_look_week"]
    assert found["choice"][0]["looked_at_again"] == 0
    by_share = found["average_precision_by_share"]
    for share, look in (("0", "first"), ("1", "larger")):
        same = pytest.approx(found[look]["average_precision"], abs=1e-3)
        assert by_share[share] == same
    assert 0 <= found["looked_at_again"] <= 1
    assert found["first_us"] <= found["both_us"]
    if found["band"] is None:
        assert found["both"] == found["first"]
