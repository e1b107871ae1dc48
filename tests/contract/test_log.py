"""One suite for every log: in memory, on the embedded broker, on Apache Kafka."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from scoring.errors import LogUnavailable, RecordsRefused
from scoring.kafka.producer import KafkaLog
from scoring.ports.log import DecisionLog, LogRecord
from scoring.stores.memory.log import MemoryLog

PARTITIONS = 3


def record(topic, key, value, headers=(), partition=None) -> LogRecord:
    return LogRecord(
        topic=topic, key=key, value=value, headers=headers, partition=partition
    )


class Bench:
    """A log under test, and a way to read back what was appended to a topic."""

    def __init__(
        self,
        log: DecisionLog,
        topic: str,
        read: Callable[[int], Awaitable[list[LogRecord]]],
    ):
        self.log, self.topic, self.read = log, topic, read


async def read_topic(bootstrap: str, topic: str, count: int) -> list[LogRecord]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=10
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
    read = []
    while len(read) < count:
        r = await consumer.getone()
        read.append(record(topic, r.key, r.value, tuple(r.headers), r.partition))
    await consumer.stop()
    return read


@asynccontextmanager
async def memory_bench(topic: str) -> AsyncIterator[Bench]:
    log = MemoryLog()

    async def read(count: int) -> list[LogRecord]:
        assert len(log.of(topic)) == count
        return log.of(topic)

    yield Bench(log, topic, read)


@asynccontextmanager
async def kafka_bench(bootstrap: str, topic: str) -> AsyncIterator[Bench]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    log = await KafkaLog.connect(bootstrap)
    yield Bench(log, topic, lambda count: read_topic(bootstrap, topic, count))
    await log.close()


@pytest.fixture(
    params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)]
)
async def bench(request, topic_prefix):
    topic = f"{topic_prefix}decisions"
    if request.param == "memory":
        made = memory_bench(topic)
    else:
        bootstrap = request.getfixturevalue(f"{request.param}_bootstrap")
        made = kafka_bench(bootstrap, topic)
    async with made as bench:
        yield bench


async def test_what_is_appended_is_read_with_its_key_and_headers(bench):
    headers = (("src", b"7"), ("a", b""))
    await bench.log.append([record(bench.topic, b"card", b"value", headers)])
    [read] = await bench.read(1)
    assert (read.key, read.value, read.headers) == (b"card", b"value", headers)


async def test_a_record_without_a_key_is_appended(bench):
    await bench.log.append([record(bench.topic, None, b"v")])
    assert [r.key for r in await bench.read(1)] == [None]


async def test_a_record_goes_to_the_partition_it_names_in_order(bench):
    records = [
        record(bench.topic, b"card", b"%d" % i, (), i % PARTITIONS)
        for i in range(1_000)
    ]
    await bench.log.append(records)
    read = await bench.read(1_000)
    for partition in range(PARTITIONS):
        values = [int(r.value) for r in read if r.partition == partition]
        assert values == list(range(partition, 1_000, PARTITIONS))


async def test_records_of_one_key_keep_their_order(bench):
    await bench.log.append(
        [record(bench.topic, b"card", b"%d" % i) for i in range(100)]
    )
    assert [int(r.value) for r in await bench.read(100)] == list(range(100))


async def test_what_is_sent_tells_of_each_record_by_itself(bench):
    sent = bench.log.send([record(bench.topic, b"%d" % i, b"v") for i in range(9)])
    assert await asyncio.gather(*sent) == [None] * 9
    assert len(await bench.read(9)) == 9


async def test_a_record_too_large_for_the_log_is_refused_and_the_others_are_there(
    bench,
):
    records = [
        record(bench.topic, None, b"x" * (40_000_000 if i == 1 else 9), (), 0)
        for i in range(3)
    ]
    with pytest.raises(RecordsRefused) as told:
        await bench.log.append(records)
    assert list(told.value.refused) == [1]
    assert [len(r.value) for r in await bench.read(2)] == [9, 9]


async def test_large_records_fill_more_than_one_batch(bench):
    records = [record(bench.topic, b"k", b"x" * 100_000, (), 0) for _ in range(9)]
    await bench.log.append(records)
    assert [len(r.value) for r in await bench.read(9)] == [100_000] * 9


async def test_nothing_to_append_is_fine(bench):
    await bench.log.append([])


async def test_a_closed_log_says_that_it_is_unavailable(bench):
    await bench.log.close()
    with pytest.raises(LogUnavailable):
        await bench.log.append([record(bench.topic, None, b"v")])


async def test_no_broker_at_the_address_is_said_at_once(unused_tcp_port):
    with pytest.raises(LogUnavailable, match="no broker answers"):
        await KafkaLog.connect(f"127.0.0.1:{unused_tcp_port}")


@pytest.mark.kafka
async def test_the_producer_is_idempotent_on_apache_kafka(kafka_bootstrap):
    log = await KafkaLog.connect(kafka_bootstrap)
    await log.close()
    assert log.idempotent


async def test_the_embedded_broker_gets_a_producer_without_idempotence(
    embedded_bootstrap,
):
    log = await KafkaLog.connect(embedded_bootstrap)
    await log.close()
    assert not log.idempotent
