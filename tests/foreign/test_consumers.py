"""The consumers of docs/topics.md, as they stand there, killed and started again.

On a real Apache Kafka, while decisions arrive: as JSON and as Protobuf, some appended
twice, some in a Kafka transaction that is aborted.
"""

import asyncio
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

import pytest
import toolbox
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    Producer,
)
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient
from consumer_page import COMMANDS, SCHEMAS
from stream_parts import create_topics

from scoring import wire
from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics
from scoring.v1.decision_pb2 import Decision, DecisionCore, Outcome, Versions

pytestmark = [pytest.mark.foreign, pytest.mark.kafka]
PARTITIONS = 4
BEFORE_KILL = 100  # decisions that a consumer has worked off when it is killed
IN_HAND_S = 1.5  # its database is locked for so long before
PATIENCE_S = 120.0  # a JVM on a busy machine takes its time
CATALOGUE = default_catalogue()
OUTCOMES = [Outcome.OUTCOME_APPROVE, Outcome.OUTCOME_REVIEW, Outcome.OUTCOME_DECLINE]


def made(topics, i, *, name="t"):
    """The record of a decision; every other in JSON."""
    payment = Transaction(
        "default", f"{name}{i}", card=f"card-{i % 50}", currency="EUR"
    )
    decision = Decision(
        core=DecisionCore(
            tenant="default",
            transaction_id=payment.id,
            outcome=OUTCOMES[i % 3],
            features=[float("nan")] * len(CATALOGUE.names),
            versions=Versions(features=CATALOGUE.version),
        ),
        transaction=wire.transaction_to_proto(payment),
    )
    content_type = (wire.PROTOBUF, wire.JSON)[i % 2]
    records = DecisionRecords(topics, content_type, CATALOGUE)
    return records.record(decision.SerializeToString(), payment)


@dataclass(eq=False)
class Feed(threading.Thread):
    """Appends decisions until it is told to stop."""

    bootstrap: str
    topics: Topics
    stopping: threading.Event = field(default_factory=threading.Event)
    sent: Counter = field(default_factory=Counter)

    def __post_init__(self):
        super().__init__()

    def run(self):
        asyncio.run(self.append())

    async def append(self):
        log = await KafkaLog.connect(self.bootstrap)
        for first in count(step=20):
            numbers = range(first, first + 20)
            records = [made(self.topics, i) for i in (*numbers, numbers[7])]
            await log.append(records)
            for i in numbers:
                self.sent[f"default:t{i}"] = OUTCOMES[i % 3]
            self.abort(first)
            if self.stopping.is_set():
                break
            await asyncio.sleep(0.1)
        await log.close()

    def abort(self, i):
        """Append what nobody who reads committed records may see."""
        if i % 200:
            return
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "transactional.id": uuid4().hex}
        )
        producer.init_transactions()
        producer.begin_transaction()
        ghost = made(self.topics, i, name="ghost")
        producer.produce(
            ghost.topic, ghost.value, ghost.key, headers=list(ghost.headers)
        )
        producer.flush()
        producer.abort_transaction()


def until(holds, what):
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.1)


@dataclass
class Consuming:
    """One consumer of the page, with its results and its place in the topic."""

    language: str
    command: tuple[str, ...]
    bootstrap: str
    topic: str
    database: str
    process: subprocess.Popen | None = None
    committed_when_killed: dict = field(default_factory=dict)
    done_when_killed: set = field(default_factory=set)
    exits: list = field(default_factory=list)
    states: list = field(default_factory=list)

    @property
    def group(self):
        return f"outcomes-{self.language}"

    def start(self):
        schemas = SCHEMAS[self.language]
        words = [*self.command, self.bootstrap, self.topic, *schemas, self.database]
        self.process = subprocess.Popen(words)

    def asked(self, sql):
        with sqlite3.connect(self.database, timeout=60) as db:
            try:
                return db.execute(sql).fetchall()
            except sqlite3.OperationalError:  # it has made no table yet
                return []

    def done(self):
        return {id_ for (id_,) in self.asked("SELECT id FROM done")}

    def places(self, offset=-1):
        return [Place(self.topic, p, offset) for p in range(PARTITIONS)]

    def committed(self):
        """Offsets by partition; 0 where it has committed none."""
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group})
        found = reader.committed(self.places(), timeout=30)
        reader.close()
        return {place.partition: max(0, place.offset) for place in found}

    def began(self):
        return len(self.done()) > BEFORE_KILL and any(self.committed().values())

    def kill(self):
        """Amid its work: it has records in hand that it cannot write down."""
        until(self.began, f"{self.language} to begin")
        with sqlite3.connect(self.database, timeout=60, isolation_level=None) as db:
            db.execute("BEGIN EXCLUSIVE")
            time.sleep(IN_HAND_S)
            self.process.kill()
            self.process.wait()
            db.execute("ROLLBACK")
        # In this order: what was committed before is looked for among what was done.
        self.committed_when_killed = self.committed()
        self.done_when_killed = self.done()

    def stop(self):
        self.process.terminate()
        self.exits.append(self.process.wait(PATIENCE_S))
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        self.states.append(
            admin.describe_consumer_groups([self.group])[self.group].result().state
        )

    def rewind(self):
        """As if it had committed nothing: all of it comes again."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        asked = ConsumerGroupTopicPartitions(self.group, self.places(0))
        admin.alter_consumer_group_offsets([asked])[self.group].result()


async def appended(bootstrap, topic):
    """The ids of committed records by partition and offset, and where each ends."""
    places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    consumer.assign(places)
    ends = await consumer.end_offsets(places)
    found = {}
    while any([await consumer.position(p) < end for p, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                id_ = dict(record.headers)["ce_id"].decode()
                found[record.partition, record.offset] = id_
    await consumer.stop()
    return found, {place.partition: end for place, end in ends.items()}


@dataclass
class Drill:
    """What was appended, and what each consumer made of it."""

    sent: Counter
    found: dict
    ends: dict
    consumers: dict


@pytest.fixture(scope="module")
def drill(kafka_bootstrap, tmp_path_factory):
    topics = Topics(f"t{uuid4().hex[:12]}.")
    names = ("decisions",)
    asyncio.run(
        create_topics(
            kafka_bootstrap, topics.prefix, partitions=PARTITIONS, names=names
        )
    )
    directory = tmp_path_factory.mktemp("consumers")
    consumers = {
        language: Consuming(
            language,
            toolbox.required(command),
            kafka_bootstrap,
            topics.decisions,
            str(directory / f"{language}.db"),
        )
        for language, command in COMMANDS.items()
    }
    feed = Feed(kafka_bootstrap, topics)
    feed.start()
    try:
        return drilled(feed, consumers)
    finally:
        feed.stopping.set()
        feed.join()
        for consumer in consumers.values():
            if consumer.process is not None and consumer.process.poll() is None:
                consumer.process.kill()


def drilled(feed, consumers):
    each = list(consumers.values())
    for step in (Consuming.start, Consuming.kill, Consuming.start):
        for consumer in each:
            step(consumer)
    feed.stopping.set()
    feed.join()
    found, ends = asyncio.run(appended(feed.bootstrap, feed.topics.decisions))

    def arrived(consumer):
        return lambda: consumer.committed() == ends

    for consumer in each:
        until(arrived(consumer), f"{consumer.language} to come to the end")
    for step in (Consuming.stop, Consuming.rewind, Consuming.start):
        for consumer in each:
            step(consumer)
    for consumer in each:
        until(arrived(consumer), f"{consumer.language} to come to the end again")
        consumer.stop()
    return Drill(feed.sent, found, ends, consumers)


@pytest.fixture(params=COMMANDS)
def consumer(request, drill):
    return drill.consumers[request.param]


def test_a_consumer_misses_nothing_and_counts_each_decision_once(consumer, drill):
    assert len(drill.found) > len(drill.sent) > BEFORE_KILL, "nothing came twice"
    assert consumer.done() == drill.sent.keys()
    counted = dict(consumer.asked("SELECT name, count FROM outcomes"))
    assert counted == Counter(map(Outcome.Name, drill.sent.values()))


def test_what_a_killed_consumer_had_committed_was_worked_off(consumer, drill):
    before = {
        id_
        for (partition, offset), id_ in drill.found.items()
        if offset < consumer.committed_when_killed[partition]
    }
    assert before
    assert before <= consumer.done_when_killed
    assert consumer.done_when_killed < drill.sent.keys(), "it was killed at the end"


def test_a_consumer_that_is_told_to_stop_leaves_its_group(consumer):
    # A JVM that a signal ends says so, after its hooks.
    assert set(consumer.exits) <= {0, 143}
    assert consumer.states == [ConsumerGroupState.EMPTY] * 2
