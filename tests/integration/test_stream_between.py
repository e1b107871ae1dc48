"""Killed between the feature update and the decision, or without its store at once."""

import asyncio
import os
import subprocess
import sys

import pytest
from gate import gate
from oracle import wrong_features
from redis.asyncio import Redis
from stream_bench import StreamBench
from stream_parts import Input, create_topics, transaction

from scoring.v1.decision_pb2 import DecisionCore

COUNT = 120
# Which broker it is makes no difference here.
pytestmark = pytest.mark.parametrize("broker", ["embedded"], indirect=True)


def payments() -> list[Input]:
    """Payments of cards that share nothing: no other order gives other features."""
    return [
        Input.of(
            transaction(
                f"t{i}",
                **{
                    field: f"{field}-{i % 7}"
                    for field in ("card", "customer", "merchant", "terminal", "device")
                },
            )
        )
        for i in range(COUNT)
    ]


def cores(counted) -> dict[str, DecisionCore]:
    """The core of each decision, but for the forecast of when a limit is free again.

    That one is made of what the store knows at the moment, later payments included.
    """
    assert (counted.duplicated, counted.degraded, counted.letters) == (0, 0, [])
    decided = {
        id_: DecisionCore.FromString(core) for id_, [core] in counted.decisions.items()
    }
    for core in decided.values():
        for reason in core.reasons:
            reason.velocity.ClearField("clears_at")
    return decided


async def keys(url: str, pattern: str) -> dict[bytes, bytes]:
    async with Redis.from_url(url) as redis:
        found = [key async for key in redis.scan_iter(pattern)]
        return {key: await redis.get(key) for key in found}


async def test_killed_after_the_update_and_before_the_decision_it_decides_as_if_never(
    stream, own_store, topic_prefix, tmp_path
):
    async with gate(own_store.child.address, b"_record\r\n") as way:
        way.shut = True
        worker = stream.worker(SCORING_REDIS_URL=way.url, SCORING_NAMESPACE="killed")
        await stream.send(payments())
        await way.held.wait()
        worker.kill()
    before = await keys(own_store.url, "killed:*")
    assert any(b"{card:" in key for key in before), "nothing was counted"
    assert not (await stream.count(0, settle_s=0.5)).decisions
    stream.worker(SCORING_NAMESPACE="killed")
    counted = await stream.count(COUNT)
    assert not wrong_features(raw for [raw] in counted.raw.values())

    prefix = f"{topic_prefix}clean."
    await create_topics(stream.broker.bootstrap, prefix)
    clean = StreamBench(
        stream.broker, own_store, prefix, stream.env["SCORING_MODEL_DIR"], tmp_path
    )
    clean.workers = stream.workers  # one list: stopped together, with logs of their own
    clean.worker(SCORING_NAMESPACE="clean")
    await clean.send(payments())
    assert cores(counted) == cores(await clean.count(COUNT))


async def test_a_store_wiped_under_load_and_rebuilt_gives_every_cell_as_it_was(
    stream, own_store, tmp_path
):
    await stream.worker().ready()
    inputs = [Input.of(transaction(f"t{i}")) for i in range(900)]
    sending = asyncio.ensure_future(stream.send(inputs, rate=300))
    await stream.count(300, settle_s=0)
    async with Redis.from_url(own_store.url) as redis:
        await redis.flushall()
    await sending
    decided = len((await stream.count(0)).decisions)
    assert decided < 900, "nothing was left to decide: the test proves nothing"
    rebuild(stream, tmp_path)
    counted = await stream.count(900)
    assert not counted.lost([f"t{i}" for i in range(900)])
    assert (counted.duplicated, counted.degraded, counted.letters) == (0, 0, [])
    assert not wrong_features(raw for [raw] in counted.raw.values())


def rebuild(stream, directory) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scoring", "rebuild"],
        env={
            **os.environ,
            **stream.env,
            "SCORING_ARCHIVE_DIR": str(directory / "archive"),
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
