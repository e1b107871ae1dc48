"""Decisions of Apache Kafka become cases: each once, whatever else is in the topic."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing, suppress

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from case_parts import AMOUNT, BY_FAY, CaseBench, close, decision
from control_parts import Clock

from scoring.control import case_intake
from scoring.control.case_intake import CaseIntake, DecisionsTopic
from scoring.control.database import database
from scoring.control.database.case_labels import LabelOutbox
from scoring.control.database.database import Database
from scoring.control.database.outbox import OutboxRecord
from scoring.control.database.relaying import LeaseTable
from scoring.control.database.unit_of_work import reading
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.labels_topic import LabelsTopic
from scoring.control.lease import Lease
from scoring.control.relay import Relay
from scoring.errors import LogUnavailable
from scoring.kafka.producer import KafkaLog
from scoring.kafka.startup_errors import reader
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.v1.transaction_pb2 import Label

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
WITHIN_S = 60
DAY_MS = 86_400_000


@pytest.fixture
async def topics(kafka_bootstrap, topic_prefix):
    found = Topics(topic_prefix)
    await create_topics({"bootstrap_servers": kafka_bootstrap}, found, partitions=2)
    return found


@pytest.fixture
def bench(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'control.db'}").migrated()
    yield CaseBench(database, Clock(time.time_ns() // 1_000_000))
    database.close()


def intake(bench, bootstrap, topics, holder="one"):
    topic = DecisionsTopic(
        bootstrap=bootstrap,
        options={},
        name=topics.decisions,
        fetch_wait_ms=100,
        backlog_ms=DAY_MS,
    )
    rows = LeaseTable(bench.database, topics.decisions, lambda: 0)
    lease = Lease(rows, holder, time.monotonic)
    return CaseIntake(topic, bench.admission, AMOUNT, lease, bench.clock)


@asynccontextmanager
async def running(reads):
    task = asyncio.create_task(reads.run())
    try:
        yield reads
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds):
    ends = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)


async def append(bootstrap, topics, *values, partition=0):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for value in values:
        raw = value if isinstance(value, bytes) else value.SerializeToString()
        await producer.send_and_wait(topics.decisions, raw, partition=partition)
    await producer.stop()


def found(bench):
    with reading(bench.database) as work:
        numbers = work.cases.selected(
            CaseFilter(), at_ms=bench.clock(), free_for=None, count_max=100
        )
        return [work.cases.case(n).decided.transaction_id for n, _ in numbers]


async def test_who_writes_for_longer_than_others_wait_stops_neither_intake_nor_relay(
    kafka_bootstrap, topics, tmp_path, monkeypatch
):
    """An import, a migration, a backup: they wait, and go on by themselves."""
    monkeypatch.setattr(database, "_BUSY_MS", 100)
    monkeypatch.setattr(case_intake, "_PAUSE_S", 0.1)
    url = f"sqlite:///{tmp_path / 'control.db'}"
    bench = CaseBench(Database(url).migrated(), Clock(time.time_ns() // 1_000_000))
    labels = Relay(
        LabelOutbox(bench.database),
        LabelsTopic(topics, lambda: KafkaLog.unconnected(kafka_bootstrap)),
        Lease(LeaseTable(bench.database, "b", lambda: 0), "one", time.monotonic),
        bench.clock,
        lambda _held, _at_ms: None,
    )
    async with (
        running(intake(bench, kafka_bootstrap, topics)) as reads,
        running(labels),
    ):
        await append(kafka_bootstrap, topics, decision("t1"))
        await until(lambda: len(found(bench)) == 1 and labels.relays)
        bench.desk.close(BY_FAY, 1, close())
        with closing(sqlite3.connect(tmp_path / "control.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            await append(kafka_bootstrap, topics, decision("t2"))
            await until(lambda: reads.fault and labels.fault)
            other.rollback()
        await until(
            lambda: found(bench) == ["t2"] and bench.labels()[0].published_at_ms
        )
        await until(lambda: not reads.fault and not labels.fault)
    bench.database.close()


async def test_each_is_a_case_once_and_what_is_no_decision_is_passed_over(
    kafka_bootstrap, topics, bench, caplog
):
    bad = decision("t2")
    bad.transaction.card = "a\0b"
    other = decision("t3")
    other.transaction.id = "t4"
    told = [decision("t1"), b"\xff\xff", bad, other, b"", decision("t5", outcome=1)]
    await append(kafka_bootstrap, topics, *told)
    await append(kafka_bootstrap, topics, decision("t6"), decision("t1"), partition=1)
    async with running(intake(bench, kafka_bootstrap, topics)) as reads:
        await until(lambda: len(found(bench)) == 2 and reads.unreadable == 4)
        assert reads.fault == ""
        await append(kafka_bootstrap, topics, decision("t7"))
        await until(lambda: len(found(bench)) == 3)
    assert sorted(found(bench)) == ["t1", "t6", "t7"]
    assert "is passed over" in caplog.text
    # Another copy reads on behind it, and again from the start where it must.
    async with running(intake(bench, kafka_bootstrap, topics, "two")) as reads:
        await append(kafka_bootstrap, topics, decision("t8"))
        await until(lambda: len(found(bench)) == 4)
        assert reads.unreadable == 0
    with bench.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM case_positions")
    async with running(intake(bench, kafka_bootstrap, topics, "three")) as reads:
        await until(lambda: reads.unreadable == 4)
    assert len(found(bench)) == 4


async def test_what_was_never_committed_is_no_case(kafka_bootstrap, topics, bench):
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka_bootstrap, transactional_id=f"{topics.prefix}w"
    )
    await producer.start()
    await producer.begin_transaction()
    raw = decision("t1").SerializeToString()
    await producer.send_and_wait(topics.decisions, raw, partition=0)
    await producer.abort_transaction()
    await producer.stop()
    await append(kafka_bootstrap, topics, decision("t2"))
    async with running(intake(bench, kafka_bootstrap, topics)):
        await until(lambda: found(bench) == ["t2"])


async def test_a_topic_that_is_not_there_is_said_and_a_new_one_is_read_from_its_start(
    kafka_bootstrap, topic_prefix, bench
):
    topics = Topics(topic_prefix)
    client = {"bootstrap_servers": kafka_bootstrap}
    async with running(intake(bench, kafka_bootstrap, topics)) as reads:
        await until(lambda: "there is no such topic" in reads.fault)
        await create_topics(client, topics, partitions=1)
        await append(kafka_bootstrap, topics, decision("t1"), decision("t2"))
        await until(lambda: len(found(bench)) == 2)
        assert reads.fault == ""
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    await admin.delete_topics([topics.decisions])
    await admin.close()
    await asyncio.sleep(1)
    await create_topics(client, topics, partitions=1)
    await append(kafka_bootstrap, topics, decision("t2"), decision("t3"))
    async with running(intake(bench, kafka_bootstrap, topics)):
        await until(lambda: found(bench) == ["t1", "t2", "t3"])


async def test_what_the_first_start_left_out_is_no_case_of_a_later_start(
    kafka_bootstrap, topics, bench
):
    await append(kafka_bootstrap, topics, decision("old"))
    await asyncio.sleep(0.1)
    bench.clock.now_ms = time.time_ns() // 1_000_000 + DAY_MS
    for transaction in ("t1", "t2"):  # nothing is new in the partition of what is old
        async with running(intake(bench, kafka_bootstrap, topics, transaction)):
            await append(kafka_bootstrap, topics, decision(transaction), partition=1)
            await until(lambda t=transaction: t in found(bench))
    assert found(bench) == ["t1", "t2"]
    async with running(intake(bench, kafka_bootstrap, topics, "three")):
        await append(kafka_bootstrap, topics, decision("t3"))
        await until(lambda: "t3" in found(bench))
    assert found(bench) == ["t1", "t2", "t3"]


async def test_without_a_broker_it_says_so_and_goes_on_trying(topics, bench):
    async with running(intake(bench, "127.0.0.1:1", topics)) as reads:
        await until(lambda: "no broker answers" in reads.fault)


async def test_a_label_that_leaves_twice_is_the_same_bytes_in_its_payments_partition(
    kafka_bootstrap, topics, bench
):
    from case_parts import BY_FAY, close

    bench.arrives(decision("t1"))
    bench.desk.close(BY_FAY, 1, close())
    waiting = LabelOutbox(bench.database).unpublished(count_max=10)
    topic = LabelsTopic(topics, lambda: KafkaLog.unconnected(kafka_bootstrap))
    with pytest.raises(LogUnavailable):
        await topic.append(waiting)
    await topic.begin()
    await topic.append(waiting)
    await topic.begin()
    await topic.append([*waiting, OutboxRecord(2, "", waiting[0].value)])
    await topic.end()
    async with reader(
        kafka_bootstrap, {}, topics.labels, auto_offset_reset="earliest"
    ) as consumer:
        got = [await consumer.getone() for _ in range(3)]
    same = [each for each in got if each.key == b"card-t1"]
    assert len({(e.partition, e.value, tuple(e.headers)) for e in same}) == 1
    assert [each.key for each in got if each not in same] == [None]
    label = Label.FromString(same[0].value)
    assert (label.transaction_id, label.version) == ("t1", 1)
    assert dict(same[0].headers)["transaction-id"] == b"t1"
