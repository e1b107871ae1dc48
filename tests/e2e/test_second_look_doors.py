"""Second looks are equal through both doors, and replayed as they were recorded."""

import os
import subprocess
import sys
from collections import Counter

import pyarrow.parquet as pq
import pytest

from scoring.core.features.catalogue import default_catalogue
from scoring.core.model.bundle import Band
from scoring.training.build import Recipe
from scoring.training.fit import Boosting
from scoring.training.second_look import SecondLookPlan
from scoring.training.simulation.simulate import World, simulate
from scoring.training.train import train_bundle

WORLD = World(seed=4, days=9, customers=100, terminals=200)
RECIPE = Recipe(
    boosting=Boosting(rounds=20, rate=0.2, depth_max=3),
    second_look=SecondLookPlan(
        boosting=Boosting(rounds=40, rate=0.2), band=Band(low=0.004, high=0.6)
    ),
    label_delay_ms=2 * 86_400_000,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("looks")
    table = simulate(WORLD)
    train_bundle(table, default_catalogue(), directory / "model", recipe=RECIPE)
    pq.write_table(table.slice(0, 700), directory / "world.parquet")
    return directory


def scoring(directory, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SCORING_")}
    done = subprocess.run(
        [sys.executable, "-m", "scoring", *arguments],
        cwd=directory,
        env=environment | {"SCORING_MODEL_DIR": str(directory / "model")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(290)
def test_both_doors_look_again_alike_and_offline_honours_what_was_recorded(place):
    play = ("replay", "world.parquet")
    for door in ("kafka", "grpc"):
        code, said = scoring(
            place, *play, "--through", door, "--out", f"{door}.parquet"
        )
        assert code == 0, said
    code, said = scoring(place, "replay", "compare", "kafka.parquet", "grpc.parquet")
    assert "equal decision cores for every transaction" in said
    looks = Counter(pq.read_table(place / "kafka.parquet")["second_look"].to_pylist())
    assert set(looks) == {"TAKEN", "NOT_NEEDED"}
    code, said = scoring(place, "replay", "offline", "world.parquet", "kafka.parquet")
    assert code == 0, said

    # A record that says otherwise is believed: its scores then differ.
    table = pq.read_table(place / "kafka.parquet")
    names = ["NOT_NEEDED"] * table.num_rows
    column = table.schema.get_field_index("second_look")
    pq.write_table(
        table.set_column(column, "second_look", [names]), place / "other.parquet"
    )
    code, said = scoring(place, "replay", "offline", "world.parquet", "other.parquet")
    assert code == 1, said
