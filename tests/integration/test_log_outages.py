"""The log on a real Apache Kafka that goes away, comes back, or refuses a record.

Nothing is lost, nothing is appended twice, and one partition's trouble is nobody
else's. SCORING_DRILL_OUTAGE_S makes the outages long (30, 300).
"""

import asyncio
import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, OutOfOrderSequenceNumber
from kafka_cluster import kafka_cluster, why_not

from scoring.errors import LogUnavailable, RecordRefused, RecordsRefused
from scoring.kafka.producer import KafkaLog
from scoring.ports.log import LogRecord

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]
PARTITIONS = 4
# Longer than each of the client's own limits, which are made as short as this.
OUTAGE_S = float(os.environ.get("SCORING_DRILL_OUTAGE_S", "4"))
REQUEST_TIMEOUT_S = 1.0 if OUTAGE_S < 10 else 20.0
# The kernel ends the node with the thread that started it: one that outlives a test.
STARTER = ThreadPoolExecutor(1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A node of this file's own, to be stopped and frozen."""
    if missing := why_not():
        pytest.skip(missing)
    with kafka_cluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@asynccontextmanager
async def admin_of(cluster):
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        try:
            await admin.start()
            break
        except KafkaConnectionError:  # a node just started answers in a moment
            await admin.close()
            await asyncio.sleep(0.2)
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
async def topic(cluster, topic_prefix):
    name = f"{topic_prefix}decisions"
    await make(cluster, name)
    return name


async def make(cluster, topic, **configs):
    async with admin_of(cluster) as admin:
        made = NewTopic(topic, PARTITIONS, 1, topic_configs=configs)
        await admin.create_topics([made])


@pytest.fixture
async def narrow(cluster, topic_prefix):
    """A topic that takes no batch above 20 kB."""
    name = f"{topic_prefix}narrow"
    await make(cluster, name, **{"max.message.bytes": "20000"})
    return name


@pytest.fixture
async def log(cluster):
    log = await KafkaLog.connect(cluster.bootstrap, request_timeout_s=REQUEST_TIMEOUT_S)
    yield log
    await log.close()


def record(topic, number, *, size=1_000, partition=None, key=True):
    key = b"%d" % number if key else None
    value = b"%d " % number + b"x" * size
    return LogRecord(topic=topic, key=key, value=value, partition=partition)


async def appended(cluster, topic) -> Counter:
    """How often each number is there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap)
    await consumer.start()
    places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(places)
    await consumer.seek_to_beginning()
    ends = await consumer.end_offsets(places)
    counted: Counter = Counter()
    while any([await consumer.position(tp) < ends[tp] for tp in places]):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            counted.update(int(r.value.split(b" ")[0]) for r in records)
    await consumer.stop()
    return counted


@asynccontextmanager
async def unavailable(cluster, how):
    """The node is gone inside the block."""
    if how == "frozen":
        cluster.child.pause()
    else:
        await asyncio.to_thread(cluster.stop, kill=how == "killed")
    try:
        yield
    finally:
        if how == "frozen":
            cluster.child.resume()
        else:
            await asyncio.get_running_loop().run_in_executor(STARTER, cluster.start)


@pytest.mark.parametrize("how", ["frozen", "killed", "stopped"])
async def test_through_an_outage_every_record_is_appended_once(
    cluster, topic, log, how
):
    sent = []

    async def feed():
        for number in range(100_000):
            sent.extend(log.send([record(topic, number)]))
            await asyncio.sleep(OUTAGE_S / 4_000)

    feeding = asyncio.create_task(feed())
    await asyncio.sleep(0.5)
    async with unavailable(cluster, how):
        await asyncio.sleep(OUTAGE_S)
    await asyncio.sleep(0.5)
    feeding.cancel()
    async with asyncio.timeout(60):
        await asyncio.gather(*sent)
    assert await appended(cluster, topic) == Counter(range(len(sent)))
    async with asyncio.timeout(5):
        await log.append([record(topic, len(sent))])


async def test_a_caller_that_gives_up_in_an_outage_takes_its_records_back(
    cluster, topic, log
):
    await log.append([record(topic, 0, partition=0)])
    async with unavailable(cluster, "frozen"):
        first = log.send([record(topic, 1, partition=0)])
        await asyncio.sleep(0.2)  # it has left
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await log.append([record(topic, n, partition=0) for n in (2, 3)])
    await asyncio.gather(*first)
    await log.append([record(topic, 4, partition=0)])
    assert await appended(cluster, topic) == Counter([0, 1, 4])


async def test_a_record_too_large_for_its_topic_is_told_apart(cluster, narrow, log):
    records = [
        record(narrow, n, size=50_000 if n in (7, 133) else 500, partition=n % 2)
        for n in range(300)
    ]
    with pytest.raises(RecordsRefused) as told:
        await log.append(records)
    assert sorted(told.value.refused) == [7, 133]
    assert "MessageSizeTooLarge" in str(told.value)
    assert await appended(cluster, narrow) == Counter(set(range(300)) - {7, 133})


async def test_many_records_too_large_together_are_appended_in_smaller_batches(
    cluster, narrow, log
):
    await log.append([record(narrow, n, partition=0) for n in range(500)])
    assert await appended(cluster, narrow) == Counter(range(500))


async def test_a_record_that_a_topic_cannot_keep_is_told_apart(
    cluster, topic_prefix, log
):
    topic = f"{topic_prefix}compacted"
    await make(cluster, topic, **{"cleanup.policy": "compact"})
    records = [record(topic, n, partition=0, key=n != 5) for n in range(10)]
    sent = log.send(records)
    told = await asyncio.gather(*sent, return_exceptions=True)
    assert [i for i, e in enumerate(told) if e is not None] == [5]
    assert isinstance(told[5], RecordRefused)
    assert await appended(cluster, topic) == Counter(set(range(10)) - {5})


async def test_a_record_beyond_every_brokers_limit_is_refused_here(topic, log):
    with pytest.raises(RecordsRefused, match="more than any broker takes"):
        await log.append([record(topic, 0, size=40_000_000)])


async def test_after_a_gap_in_its_numbers_the_producer_is_made_anew(
    cluster, topic, log
):
    await log.append([record(topic, n, partition=0) for n in range(3)])
    spent = log.producers.at_hand
    place = TopicPartition(topic, 0)
    spent._txn_manager.increment_sequence_number(place, 7)
    with pytest.raises(OutOfOrderSequenceNumber):
        await spent.send_and_wait(topic, b"a gap", partition=0)
    async with asyncio.timeout(10):
        await log.append([record(topic, n, partition=n % 4) for n in range(3, 50)])
    assert log.producers.at_hand is not spent
    assert await appended(cluster, topic) == Counter(range(50))


async def test_a_missing_topic_holds_up_no_other_and_is_used_once_it_is_there(
    cluster, topic, topic_prefix, log, caplog
):
    late = f"{topic_prefix}late"
    waiting = log.send([record(late, n) for n in range(20)])
    async with asyncio.timeout(5):
        await log.append([record(topic, n) for n in range(20)])
    await asyncio.sleep(REQUEST_TIMEOUT_S + 1)
    assert not any(future.done() for future in waiting)
    assert log.unavailable
    assert f"records for {late} wait" in caplog.text
    await make(cluster, late)
    async with asyncio.timeout(30):
        await asyncio.gather(*waiting)
    assert await appended(cluster, late) == Counter(range(20))


async def test_an_outage_is_said_and_counted_once(cluster, topic, caplog):
    caplog.set_level(logging.WARNING, "scoring")
    counted: Counter = Counter()
    log = await KafkaLog.connect(
        cluster.bootstrap,
        count=lambda event: counted.update([event]),
        request_timeout_s=REQUEST_TIMEOUT_S,
    )
    await log.append([record(topic, 0)])
    async with unavailable(cluster, "killed"):
        waiting = log.send([record(topic, n) for n in range(100)])
        await asyncio.sleep(OUTAGE_S + 6)
        said = [r for r in caplog.records if r.name.startswith("scoring")]
        assert 1 <= len(said) <= 3, [r.getMessage() for r in said]
    await asyncio.gather(*waiting)
    assert counted == {"log_unavailable": 1, "log_recovered": 1}
    await log.close()


async def test_a_log_that_is_closed_in_an_outage_ends_and_says_what_it_kept(
    cluster, topic
):
    log = await KafkaLog.connect(cluster.bootstrap)
    await log.append([record(topic, 0)])
    async with unavailable(cluster, "frozen"):
        waiting = log.send([record(topic, n) for n in range(1, 9)])
        async with asyncio.timeout(15):
            await log.close()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(each) for each in told} == {LogUnavailable}
