"""Positions belong to a topic's incarnation: on Apache Kafka, whose topics have ids.

Nothing is skipped unless its own decision is found, and nothing is written twice.
"""

import asyncio
import os
import subprocess
import sys

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata
from stream_parts import Input, create_topics, transaction

from scoring.kafka.topic_incarnation import committed_in, of_another, topic_ids

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.parametrize("broker", ["kafka"], indirect=True),
]
COUNT = 300


def payments(start: int, n: int = COUNT, **fields) -> list[Input]:
    return [Input.of(transaction(f"t{i}", **fields)) for i in range(start, start + n)]


def ids(start: int, n: int = COUNT) -> list[str]:
    return [f"t{i}" for i in range(start, start + n)]


async def deleted(stream, *names: str) -> None:
    """Delete topics, and return when the broker shows them no longer."""
    topics = [stream.prefix + name for name in names]
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.broker.bootstrap)
    await admin.start()
    await admin.delete_topics(topics)
    while not all(t["error_code"] for t in await admin.describe_topics(topics)):
        await asyncio.sleep(0.1)
    await admin.close()


async def remade(stream, *names: str) -> None:
    await deleted(stream, *names)
    await create_topics(stream.broker.bootstrap, stream.prefix, names=names)


async def commits(stream, offsets: dict[int, OffsetAndMetadata]) -> None:
    """Commit for the worker's group, as an operator or a mirror would."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stream.broker.bootstrap,
        group_id=f"{stream.prefix}scoring-stream",
        enable_auto_commit=False,
    )
    await consumer.start()
    topic = stream.prefix + "transactions"
    places = {TopicPartition(topic, p): said for p, said in offsets.items()}
    consumer.assign(list(places))
    await consumer.commit(places)
    await consumer.stop()


async def settled(stream, n: int) -> None:
    """Wait until so many inputs are committed."""
    while await stream.committed() < n:
        await asyncio.sleep(0.1)


async def worked_off(stream) -> None:
    """A worker decides the first payments, and ends."""
    worker = await stream.worker().ready()
    await stream.send(payments(0))
    await settled(stream, COUNT)
    worker.terminate()


async def decided_once(stream, expected: list[str]) -> None:
    counted = await stream.count(len(expected))
    assert not counted.lost(expected)
    assert (counted.duplicated, counted.conflicting, counted.letters) == (0, 0, [])


async def test_new_payments_at_the_offsets_of_a_topic_made_again_are_decided(stream):
    await worked_off(stream)
    await remade(stream, "transactions")
    await stream.send(payments(COUNT))
    stream.worker()
    await decided_once(stream, ids(0, 2 * COUNT))


async def test_commits_of_the_topic_that_was_are_not_believed(stream):
    """A worker that outlives its topic commits to the new one what it had read."""
    await worked_off(stream)
    await remade(stream, "transactions")
    await stream.send(payments(COUNT))
    old = OffsetAndMetadata(20, committed_in("0" * 32))
    await commits(stream, dict.fromkeys(range(4), old))
    told = stream.worker()
    await decided_once(stream, ids(0, 2 * COUNT))
    assert "was made again" in told.output.read_text()


async def test_a_running_worker_whose_topic_is_made_again_says_so_and_loses_none(
    stream,
):
    worker = await stream.worker().ready()
    await stream.send(payments(0))
    await settled(stream, COUNT)
    await remade(stream, "transactions")
    await stream.send(payments(COUNT, 2 * COUNT))
    while worker.process.poll() is None:
        await asyncio.sleep(0.1)
    assert "transactions was made again" in worker.output.read_text()
    stream.worker()
    await decided_once(stream, ids(0, 3 * COUNT))


async def test_decisions_made_again_lose_nothing_that_comes_after(stream):
    await worked_off(stream)
    await remade(stream, "decisions")
    await stream.send(payments(COUNT))
    stream.worker()
    await decided_once(stream, ids(COUNT))


async def test_decisions_made_again_are_written_again_where_the_group_is_reset(stream):
    await worked_off(stream)
    await remade(stream, "decisions")
    await commits(stream, dict.fromkeys(range(4), OffsetAndMetadata(0, "")))
    stream.worker()
    await decided_once(stream, ids(0))


async def test_a_group_that_is_reset_writes_nothing_twice(stream):
    worker = await stream.worker().ready()
    bad = [Input(b"\xff garbage", b"k") for _ in range(20)]
    await stream.send([*payments(0), *bad])
    await settled(stream, COUNT + 20)
    worker.terminate()
    await commits(stream, dict.fromkeys(range(4), OffsetAndMetadata(0, "")))
    await stream.send(payments(COUNT, 10))
    stream.worker()
    counted = await stream.count(COUNT + 30, settle_s=3)
    assert not counted.lost(ids(0, COUNT + 10))
    assert (counted.duplicated, len(counted.letters)) == (0, 20)


async def test_a_mirror_with_other_offsets_writes_what_lacks_and_nothing_twice(stream):
    """The inputs come under other offsets, the decisions as they were."""
    await worked_off(stream)
    await remade(stream, "transactions")
    await stream.send(payments(COUNT, 100))
    await stream.send(payments(0))
    stream.worker()
    await decided_once(stream, ids(0, COUNT + 100))


async def test_what_was_recorded_and_not_logged_reaches_the_log_of_a_mirror(stream):
    """The store outlives the cluster: its decisions name offsets that mean nothing
    there, and no other worker will append them."""
    await worked_off(stream)
    await remade(stream, "transactions", "decisions")
    await stream.send(payments(COUNT, 100))
    await stream.send(payments(0))
    stream.worker()
    await decided_once(stream, ids(0, COUNT + 100))


async def test_topics_check_tells_of_commits_that_mean_another_topic(stream):
    await commits(stream, {0: OffsetAndMetadata(7, committed_in("0" * 32))})
    check = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scoring", "topics", "check"),
        env={**os.environ, **stream.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await check.communicate()
    assert f"{stream.prefix}transactions was made again" in said.decode()


async def test_ids_are_told_of_what_is_there_and_change_when_it_is_made_again(stream):
    topic = stream.prefix + "decisions"
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.broker.bootstrap)
    await admin.start()
    first = await topic_ids(admin._client, [topic, "nowhere"])
    assert list(first) == [topic]
    await remade(stream, "decisions")
    second = await topic_ids(admin._client, [topic])
    await admin.close()
    assert of_another(committed_in(first[topic]), second[topic])
