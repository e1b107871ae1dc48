"""A table goes through both doors and comes out equal, decided and judged."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from redis import Redis

from scoring.core.features.catalogue import default_catalogue
from scoring.embedded.service import Parts, service
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.training.build import Recipe
from scoring.training.dataset import DAY_MS
from scoring.training.fit import Boosting
from scoring.training.train import train_bundle

WORLD = ("--days", "9", "--customers", "120", "--terminals", "240", "--seed", "5")
RECIPE = Recipe(boosting=Boosting(rounds=30, depth_max=4), label_delay_ms=DAY_MS)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with a simulated table and its model; its name has a space."""
    directory = tmp_path_factory.mktemp("a replay")
    scoring(directory, "simulate", "world.parquet", *WORLD)
    table = pq.read_table(directory / "world.parquet")
    train_bundle(table, default_catalogue(), directory / "model", recipe=RECIPE)
    return directory


def scoring(directory, *arguments, code=0, settings=None):
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SCORING_")
    }
    done = subprocess.run(
        [sys.executable, "-m", "scoring", *arguments],
        cwd=directory,
        env={
            **inherited,
            "SCORING_MODEL_DIR": str(directory / "model"),
            **(settings or {}),
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(290)
def test_ordered_replays_through_both_doors_and_offline_agree(place):
    play = ("replay", "world.parquet")
    report = scoring(place, *play, "--through", "kafka", "--out", "kafka.parquet")
    assert "average precision" in report
    assert "Fraud caught" in report
    assert "card_velocity" in report, "the shipped policy's rules, held or not"
    assert (place / "kafka.report.md").exists()
    assert (place / "kafka.report.json").exists()
    scoring(place, *play, "--through", "grpc", "--out", "grpc.parquet")
    same = scoring(place, "replay", "compare", "kafka.parquet", "grpc.parquet")
    assert "equal decision cores for every transaction" in same
    scoring(place, "replay", "offline", "world.parquet", "kafka.parquet")
    decisions = pq.read_table(place / "kafka.parquet").to_pydict()
    assert len(decisions["id"]) > 1_000
    assert not any(decisions["degraded"])
    assert any(decisions["fraud"])


@pytest.mark.timeout(290)
def test_a_replay_at_full_speed_decides_every_row_once(place):
    play = ("replay", "world.parquet", "--label-lead", "1d", "--out", "fast.parquet")
    scoring(place, *play, code=2)  # in order, no label comes ahead
    scoring(place, *play, "--unordered")
    sent = pq.read_table(place / "world.parquet")["id"].to_pylist()
    decided = pq.read_table(place / "fast.parquet")["id"].to_pylist()
    assert sorted(decided) == sorted(sent)
    check = ("replay", "offline", "world.parquet", "fast.parquet", "--as-processed")
    said = scoring(place, *check)
    assert "0 rows differ in what labels or events tell, 0 other values differ" in said


@pytest.mark.timeout(290)
def test_at_full_speed_every_row_saw_what_was_processed_before_it(place):
    play = ("replay", "world.parquet", "--no-labels", "--out", "unlabelled.parquet")
    scoring(place, *play, "--unordered")
    check = ("replay", "offline", "world.parquet", "unlabelled.parquet", "--no-labels")
    said = scoring(place, *check, "--as-processed")
    assert "largest score difference 0\n" in said
    assert "0 rows differ in what labels or events tell, 0 other values differ" in said
    rows = pq.read_table(place / "unlabelled.parquet").to_pylist()
    in_order = [r["id"] for r in sorted(rows, key=lambda r: r["processed_seq"])]
    by_time = [r["id"] for r in sorted(rows, key=lambda r: r["occurred_at_ms"])]
    assert in_order != by_time, "nothing overtook: the test proves nothing"
    scoring(place, *check, code=1)


def test_runs_over_different_spans_do_not_compare_equal(place):
    short = ("--through", "grpc", "--to", "2018-04-03")
    scoring(place, "replay", "world.parquet", *short, "--out", "two days.parquet")
    scoring(
        place,
        *("replay", "world.parquet", "--through", "grpc", "--to", "2018-04-02"),
        *("--out", "one day.parquet"),
    )
    said = scoring(
        place, "replay", "compare", "two days.parquet", "one day.parquet", code=1
    )
    assert "in one only" in said


def test_rows_that_are_refused_are_reported_and_the_others_decided(place):
    rows = pq.read_table(place / "world.parquet").slice(0, 50).to_pylist()
    for row in rows[:3]:
        row["card"] = "4111111111111111"
    pq.write_table(pa.Table.from_pylist(rows), place / "poison.parquet")
    for door in ("kafka", "grpc"):
        run = (
            "replay",
            "poison.parquet",
            "--through",
            door,
            "--out",
            f"{door}.parquet",
        )
        said = scoring(place, *run, code=1)
        left_out = (place / f"{door}.left-out.csv").read_text()
        assert left_out.count("card number") == 3
        assert "4111" not in said + left_out


def test_a_table_that_is_not_understood_is_refused_with_the_next_step(place):
    (place / "odd.csv").write_text("a,b\n1,2\n")
    said = scoring(place, "replay", "--describe", "odd.csv", code=2)
    assert "name one under columns" in said


@pytest.mark.timeout(290)
def test_only_an_explicit_flag_plays_into_the_live_service(
    place, store_url, embedded_bootstrap, topic_prefix, store_namespace
):
    live = {
        **Parts(store_url, embedded_bootstrap, embedded_broker=True).environment,
        "SCORING_NAMESPACE": store_namespace,
        "SCORING_TOPIC_PREFIX": topic_prefix,
        "SCORING_MODEL_DIR": str(place / "model"),
        "SCORING_DECISION_FORMAT": "json",
    }
    client = {"bootstrap_servers": embedded_bootstrap}
    asyncio.run(create_topics(client, Topics(topic_prefix), partitions=2))
    rows = pq.read_table(place / "world.parquet").slice(0, 300)
    pq.write_table(rows, place / "some.parquet")
    with service("stream", live, directory=place):
        before = keys(store_url, store_namespace)
        play = ("replay", "some.parquet", "--out", "live.parquet")
        scoring(place, *play, settings=live)
        assert keys(store_url, store_namespace) == before
        scoring(place, *play, "--into-live", settings=live)
        assert keys(store_url, store_namespace) > before
        assert pq.read_table(place / "live.parquet").num_rows == 300
        refused = ("--into-live", "--ordered")
        scoring(place, *play, *refused, settings=live, code=2)


def keys(store_url, namespace):
    with Redis.from_url(store_url) as client:
        return sum(1 for key in client.scan_iter(f"*{namespace}*", count=1_000))
