"""Inputs by transactional producers, and logs with holes; on a real Apache Kafka.

Java's producer and librdkafka's commit and abort, side by side in one partition.
"""

import asyncio
import random
from dataclasses import replace
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata
from foreign_producers import CODECS, LibrdkafkaTransactions, java_producer
from kafka_cluster import kafka_cluster
from stream_bench import StreamBench
from stream_parts import Input, create_topics, transaction

from scoring.embedded.child import LOOPBACK, free_port
from scoring.kafka.reader import LogReader
from scoring.v1.transaction_pb2 import Transaction

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.parametrize("broker", ["kafka"], indirect=True),
]


@pytest.fixture
def java(kafka_bootstrap):
    with java_producer(kafka_bootstrap) as producer:
        yield producer


@pytest.fixture
def watched(stream):
    """A worker whose metrics can be asked."""

    class Watched:
        port = free_port()

        def start(self, **env):
            self.worker = stream.worker(
                SCORING_METRICS_PORT=str(self.port),
                SCORING_METRICS_HOST=LOOPBACK,
                **env,
            )
            return self.worker.ready()

        def metric(self, name: str) -> float:
            with urlopen(f"http://{LOOPBACK}:{self.port}/metrics") as answer:
                lines = answer.read().decode().splitlines()
            [found] = [line for line in lines if line.startswith(f"{name} ")]
            return float(found.split()[1])

        def alive(self) -> int:
            try:
                with urlopen(f"http://{LOOPBACK}:{self.port}/livez") as answer:
                    return answer.status
            except HTTPError as refused:
                return refused.code

        async def until(self, name: str, value: float) -> None:
            async with asyncio.timeout(30):
                while self.metric(name) != value:
                    await asyncio.sleep(0.2)

    return Watched()


def values(ids: list[str]) -> list[bytes]:
    return [transaction(id_).SerializeToString() for id_ in ids]


async def ends(stream, partitions: int = 4) -> int:
    """The ends of all partitions of the transactions topic, markers counted."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stream.broker.bootstrap)
    await consumer.start()
    topic = f"{stream.prefix}transactions"
    places = [TopicPartition(topic, p) for p in range(partitions)]
    found = await consumer.end_offsets(places)
    await consumer.stop()
    return sum(found.values())


async def all_committed(stream) -> None:
    """Wait until the group has committed up to the very end."""
    async with asyncio.timeout(30):
        while await stream.committed() != await ends(stream):
            await asyncio.sleep(0.2)


async def test_aborted_records_are_neither_decided_nor_lag(stream, watched, java):
    """Interleaved transactions of many batches each, by every codec, in small polls."""
    chance = random.Random(1)
    topic = f"{stream.prefix}transactions"
    wanted, unwanted = [], []
    await watched.start(SCORING_POLL_RECORDS_MAX="7")
    for codec in CODECS:
        java.configure(
            transactional_id=f"{stream.prefix}java",
            compression_type=codec,
            batch_size="600",
        )
        other = await asyncio.to_thread(
            LibrdkafkaTransactions,
            *(stream.broker.bootstrap, f"{stream.prefix}librdkafka"),
            compression_type=codec,
        )
        for turn in range(4):
            producers = {"java": java, "librdkafka": other}
            for one in producers.values():
                one.begin()
            for part in range(3):
                for name, one in producers.items():
                    ids = [f"{name}-{codec}-{turn}-{part}-{n}" for n in range(9)]
                    await asyncio.to_thread(one.send, topic, 0, values(ids))
                    aborts = (turn + len(name)) % 2
                    (unwanted if aborts else wanted).extend(ids)
            for name in chance.sample(sorted(producers), 2):
                aborts = (turn + len(name)) % 2
                end = producers[name].abort if aborts else producers[name].commit
                await asyncio.to_thread(end)
    counted = await stream.count(len(wanted))
    assert set(counted.decisions) == set(wanted)
    assert (counted.duplicated, counted.conflicting) == (0, 0)
    assert not counted.letters
    assert unwanted
    await watched.until("fraud_stream_lag_records", 0)
    await all_committed(stream)  # the last marker, too: nothing waits for anybody


async def test_an_aborted_payment_may_be_sent_again_with_another_amount(stream, java):
    await stream.worker().ready()
    topic = f"{stream.prefix}transactions"
    java.configure(transactional_id=f"{stream.prefix}again")
    for amount, end in ((1_000, java.abort), (2_000, java.commit)):
        java.begin()
        payment = transaction("again", amount_minor=amount)
        java.send(topic, 0, [payment.SerializeToString()])
        end()
    counted = await stream.count(1)
    assert list(counted.decisions) == ["again"]
    assert not counted.letters


async def test_aborted_labels_are_not_learned(stream, java):
    await stream.worker().ready()
    java.configure(transactional_id=f"{stream.prefix}labels")
    java.begin()
    java.send(f"{stream.prefix}labels", 0, [b"no label"] * 3)
    java.abort()
    java.begin()
    java.send(f"{stream.prefix}labels", 0, [b"no label either"])
    java.commit()
    counted = await stream.label_letters(1)
    assert [letter.value for letter in counted.letters] == [b"no label either"]


async def test_a_transaction_that_hangs_is_held_back_and_is_no_lag(
    stream, watched, java
):
    await watched.start()
    topic = f"{stream.prefix}transactions"
    java.configure(transactional_id=f"{stream.prefix}hangs")
    java.begin()
    java.send(topic, 0, values(["open-1", "open-2"]))
    behind = [Input.of(transaction(f"t{i}"), partition=0) for i in range(5)]
    beside = [Input.of(transaction(f"t{i}"), partition=1) for i in range(5, 10)]
    await stream.send(behind + beside)
    counted = await stream.count(5)
    assert set(counted.decisions) == {f"t{i}" for i in range(5, 10)}
    await watched.until("fraud_stream_held_back_records", 7)
    assert watched.metric("fraud_stream_lag_records") == 0
    java.abort()
    counted = await stream.count(10)
    assert set(counted.decisions) == {f"t{i}" for i in range(10)}
    await watched.until("fraud_stream_held_back_records", 0)
    await all_committed(stream)


async def deleted_before(stream, offset: int, partition: int = 0) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.broker.bootstrap)
    await admin.start()
    place = TopicPartition(f"{stream.prefix}transactions", partition)
    await admin.delete_records({place: RecordsToDelete(before_offset=offset)})
    await admin.close()


def paid(first: int, until: int) -> list[Input]:
    return [Input.of(transaction(f"t{i}"), partition=0) for i in range(first, until)]


async def test_records_deleted_before_they_were_read_are_counted_and_said(
    stream, watched
):
    await watched.start()
    await stream.send(paid(0, 10))
    await stream.count(10)
    await all_committed(stream)
    watched.worker.terminate()
    await stream.send(paid(10, 60))
    await deleted_before(stream, 50)
    await watched.start()
    counted = await stream.count(20)
    assert set(counted.decisions) == {f"t{i}" for i in [*range(10), *range(50, 60)]}
    said = watched.worker.output.read_text()
    assert "up to 40 records from offset 10 on were deleted" in said
    assert watched.metric("fraud_stream_deleted_unread_total") == 40


async def test_a_partition_that_retention_emptied_is_no_lag(stream, watched):
    """It was: 50 records that wait for ever, and after 120 s the end of the worker."""
    await stream.send(paid(0, 50))
    await deleted_before(stream, 50)
    await watched.start()
    await watched.until("fraud_stream_lag_records", 0)
    await all_committed(stream)
    await stream.send(paid(50, 51))
    assert set((await stream.count(1)).decisions) == {"t50"}


async def test_an_offset_beyond_the_end_is_no_reason_to_pass_anything_over(
    stream, watched
):
    """A log truncated by a leader that lagged, or a group moved to another cluster."""
    await stream.send(paid(0, 30))
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stream.broker.bootstrap,
        group_id=f"{stream.prefix}scoring-stream",
        enable_auto_commit=False,
    )
    await consumer.start()
    place = TopicPartition(f"{stream.prefix}transactions", 0)
    consumer.assign([place])
    await consumer.commit({place: OffsetAndMetadata(1_000, "")})
    await consumer.stop()
    await watched.start()
    counted = await stream.count(30)
    assert set(counted.decisions) == {f"t{i}" for i in range(30)}
    assert counted.duplicated == 0
    await all_committed(stream)
    assert "the log ends before offset 1000" in watched.worker.output.read_text()


async def delete_topic(stream, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.broker.bootstrap)
    await admin.start()
    name = stream.prefix + topic
    await admin.delete_topics([name])
    while not (await admin.describe_topics([name]))[0]["error_code"]:
        await asyncio.sleep(0.1)
    await admin.close()


async def test_a_topic_deleted_under_a_worker_is_said_and_read_when_made_again(
    stream, watched
):
    """It went on with the labels alone, lag 0, as if nothing were missing."""
    await watched.start()
    await stream.send(paid(0, 40))
    await stream.count(40)
    await delete_topic(stream, "transactions")
    await watched.until("fraud_stream_missing_topics", 1)
    said = watched.worker.output.read_text()
    assert "transactions is not among the brokers' topics" in said
    assert watched.alive() == 503
    await create_topics(stream.broker.bootstrap, stream.prefix)
    await stream.send(paid(40, 60))
    # The positions it holds are those of another topic: it ends, and is started again.
    assert await asyncio.to_thread(watched.worker.process.wait, 60) == 1
    assert "was made again" in watched.worker.output.read_text()
    # The one that ended may have read them all: wait for the next itself.
    await watched.worker.start().ready(times=2)
    async with asyncio.timeout(60):
        counted = await stream.count(60)
    assert set(counted.decisions) == {f"t{i}" for i in range(60)}
    await watched.until("fraud_stream_missing_topics", 0)
    assert watched.alive() == 200
    assert watched.worker.process.poll() is None


CLEANING = """
log.cleaner.enable=true
log.cleaner.backoff.ms=100
log.cleaner.dedupe.buffer.size=2097152
"""
SURVIVORS = ("t59", "t60", "t61")  # the last of the closed segment, and the open one


async def configure(stream, **configs: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.broker.bootstrap)
    await admin.start()
    chosen = {k.replace("_", "."): v for k, v in configs.items()}
    topic = f"{stream.prefix}transactions"
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, chosen)])
    asked = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(chosen))
    async with asyncio.timeout(30):  # a broker follows its controller a little later
        while chosen.items() - (await told_configs(admin, asked)).items():
            await asyncio.sleep(0.05)
    await admin.close()


async def told_configs(admin: AIOKafkaAdminClient, of: ConfigResource) -> dict:
    """What the broker says of a topic's settings, by name."""
    (response,) = await admin.describe_configs([of])
    ((*_, told),) = response.resources
    return {name: value for name, value, *_ in told}


async def in_the_log(stream) -> list[str]:
    """The ids that partition 0 of the transactions topic holds."""
    async with LogReader(stream.broker.bootstrap, {}) as log:
        extents = await log.extents(f"{stream.prefix}transactions")
        read = log.records(f"{stream.prefix}transactions", {0: extents[0]})
        found = [record async for _, batch in read for record in batch]
    return [Transaction.FromString(record.value).id for record in found]


@pytest.fixture
def cleaned(own_store, topic_prefix, model_dir, tmp_path):
    """A bench on a Kafka of its own that compacts at once."""
    with kafka_cluster(tmp_path, more=CLEANING) as cluster:
        broker = SimpleNamespace(
            bootstrap=cluster.bootstrap, fetch_wait_ms=100, session_timeout_s=3.0
        )
        bench = StreamBench(broker, own_store, topic_prefix, model_dir, tmp_path)
        yield bench
        bench.stop()


@pytest.mark.usefixtures("broker")
async def test_gaps_that_compaction_left_are_no_lag(cleaned):
    """A worker refuses a compacted topic: this one was, and is no more."""
    await create_topics(cleaned.broker.bootstrap, cleaned.prefix)
    await configure(
        cleaned,
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.0",
    )
    same = [replace(one, key=b"same") for one in paid(0, 60)]
    await cleaned.send(same)
    await asyncio.sleep(0.3)
    for last in paid(60, 62):
        await cleaned.send([last])
    async with asyncio.timeout(60):
        while len(await in_the_log(cleaned)) > len(SURVIVORS):
            await asyncio.sleep(0.2)
    await configure(cleaned, cleanup_policy="delete")
    await cleaned.worker().ready()
    counted = await cleaned.count(len(SURVIVORS))
    assert set(counted.decisions) == set(SURVIVORS)
    await all_committed(cleaned)
