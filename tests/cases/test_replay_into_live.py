"""Past payments played into a live stream door: also those that it decided before."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from cases_tables import HEADER
from stream_parts import HOUR_MS, NOW_MS

# Not the embedded broker: it reports ends too low, and old decisions are read again.
pytestmark = [
    pytest.mark.kafka,
    pytest.mark.parametrize("broker", ["kafka"], indirect=True),
]
AGAIN = "was decided before this run"
RUN_S = 100  # less than the two minutes after which a run gives up


def rows(first: int, last: int, amount: str = "10.50") -> list[str]:
    return [
        f"p{i},{NOW_MS - HOUR_MS + i * 1_000},{amount},EUR,c{i % 9},0"
        for i in range(first, last)
    ]


def play(stream, *lines: str, code: int) -> str:
    """Play rows into the live door; what is said of them."""
    table = stream.directory / "past.csv"
    table.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    (stream.directory / "out.parquet").unlink(missing_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scoring", "replay", str(table), "--into-live"),
            *("--out", "out.parquet"),
        ],
        cwd=stream.directory,
        env={**os.environ, **stream.env},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def decided(stream) -> set[str]:
    return set(pq.read_table(stream.directory / "out.parquet")["id"].to_pylist())


@pytest.mark.timeout(280)
async def test_what_was_decided_before_is_skipped_and_the_rest_is_decided(stream):
    await stream.worker().ready()
    play(stream, *rows(0, 40), code=0)
    said = play(stream, *rows(0, 60), code=0)
    assert f"skipped 40: {AGAIN}" in said
    assert decided(stream) == {f"p{i}" for i in range(40, 60)}
    everything_again = play(stream, *rows(0, 60), code=0)
    assert f"skipped 60: {AGAIN}" in everything_again


@pytest.mark.timeout(280)
async def test_what_was_decided_of_another_payload_is_refused_by_its_fields(stream):
    await stream.worker().ready()
    play(stream, *rows(0, 20), code=0)
    said = play(stream, *rows(0, 5), *rows(5, 7, "99.00"), *rows(7, 30), code=1)
    assert f"skipped 18: {AGAIN}" in said
    assert "refused 2: id: was already used" in said
    assert "which differs in amount_minor;" in said
    assert decided(stream) == {f"p{i}" for i in range(20, 30)}
