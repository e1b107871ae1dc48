"""Parts of the stream tests: real workers, a feed, and an independent counter.

The counter shares no code with the service but the generated messages.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from scoring.v1.decision_pb2 import Decision
from scoring.v1.transaction_pb2 import DeadLetter, DeadLetterReason, Transaction

TOPICS = (
    "transactions",
    "decisions",
    "labels",
    "events",
    "transactions.dead-letter",
    "labels.dead-letter",
    "events.dead-letter",
)
OUTPUTS = ("decisions", "transactions.dead-letter")
PROTOBUF = "application/x-protobuf"
NOW_MS = int(time.time() * 1_000)
HOUR_MS = 3_600_000


def transaction(id_: str, **fields) -> Transaction:
    """A payment that every rule of the wire accepts; t1, t2, … follow in time."""
    place = int(id_[1:]) if id_[1:].isdigit() else 0
    at_ms = fields.pop("at_ms", NOW_MS - HOUR_MS + place * 50)
    number = place * 7_919 % 997
    return Transaction(
        **{
            "id": id_,
            "amount_minor": 1_000,
            "currency": "EUR",
            "card": f"card-{number}",
            "customer": f"customer-{number}",
            "merchant": f"merchant-{number % 101}",
            "terminal": f"terminal-{number % 211}",
        }
        | fields,
        occurred_at=Timestamp(seconds=at_ms // 1_000, nanos=at_ms % 1_000 * 1_000_000),
    )


@dataclass(slots=True)
class Input:
    """One record of an input topic."""

    value: bytes
    key: bytes | None = None
    content_type: str | None = PROTOBUF
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, message: Transaction, **fields) -> Input:
        key = (message.card or message.customer).encode() or None
        return cls(message.SerializeToString(), key, **fields)


async def create_topics(
    bootstrap: str,
    prefix: str,
    *,
    partitions: int = 4,
    names: Sequence[str] = TOPICS,
) -> None:
    """Create topics; what exists stays as it is."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    # Times are the broker's, as `scoring topics create` has it.
    made = [
        NewTopic(
            prefix + topic,
            partitions,
            1,
            topic_configs={"message.timestamp.type": "LogAppendTime"},
        )
        for topic in names
    ]
    while True:
        try:
            await admin.create_topics(made)
            break
        except AttributeError:  # a broker just started knows no controller yet
            await asyncio.sleep(0.1)
    # A controller acknowledges a topic before the brokers have heard of it.
    while any(
        t["error_code"] for t in await admin.describe_topics([m.name for m in made])
    ):
        await asyncio.sleep(0.1)
    await admin.close()


async def send(bootstrap: str, topic: str, inputs: Sequence[Input], *, rate=0) -> None:
    """Append all, acknowledged; `rate` records a second, 0 for as fast as it goes."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        linger_ms=2,
        request_timeout_ms=240_000,  # it outlives a broker that is started again
    )
    await producer.start()
    started = time.monotonic()
    sent = []
    for n, one in enumerate(inputs):
        headers = list(one.headers)
        if one.content_type is not None:
            headers.append(("content-type", one.content_type.encode()))
        sent.append(
            await producer.send(
                topic, one.value, key=one.key, partition=one.partition, headers=headers
            )
        )
        if rate and n % 20 == 0:
            await asyncio.sleep(max(0, started + n / rate - time.monotonic()))
    await asyncio.gather(*sent)
    await producer.stop()


@dataclass(slots=True)
class Counted:
    """What an independent consumer saw on the output topics."""

    decisions: dict[str, list[bytes]] = field(default_factory=dict)
    raw: dict[str, list[bytes]] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    degraded: int = 0
    events: list[str] = field(default_factory=list)
    sources: list[tuple[int, int]] = field(default_factory=list)

    def see_decision(self, record) -> None:
        headers = dict(record.headers)
        if headers["content-type"] == PROTOBUF.encode():
            decision = Decision.FromString(record.value)
        else:
            decision = json_format.Parse(record.value, Decision())
        core = decision.core
        self.decisions.setdefault(core.transaction_id, []).append(
            core.SerializeToString(deterministic=True)
        )
        self.raw.setdefault(core.transaction_id, []).append(record.value)
        if "ce_id" in headers:
            self.events.append(headers["ce_id"].decode())
        self.degraded += bool(core.degradations or core.provisional)
        if "src" in headers:
            self.sources.append((record.partition, int(headers["src"])))

    def see_letter(self, record) -> None:
        if dict(record.headers)["content-type"] == PROTOBUF.encode():
            self.letters.append(DeadLetter.FromString(record.value))
        else:
            self.letters.append(json_format.Parse(record.value, DeadLetter()))

    @property
    def reasons(self) -> Counter[str]:
        prefix = "DEAD_LETTER_REASON_"
        return Counter(
            DeadLetterReason.Name(letter.reason).removeprefix(prefix)
            for letter in self.letters
        )

    @property
    def duplicated(self) -> int:
        return sum(len(cores) - 1 for cores in self.decisions.values())

    @property
    def conflicting(self) -> int:
        return sum(len(set(cores)) > 1 for cores in self.decisions.values())

    def lost(self, sent: Sequence[str]) -> set[str]:
        return set(sent) - set(self.decisions)

    @property
    def outputs(self) -> int:
        return sum(map(len, self.decisions.values())) + len(self.letters)


async def ends(
    bootstrap: str, prefix: str, *, partitions: int = 4
) -> dict[TopicPartition, int]:
    """Where the outputs end now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    places = [TopicPartition(prefix + t, p) for t in OUTPUTS for p in range(partitions)]
    found: dict[TopicPartition, int] = await consumer.end_offsets(places)
    await consumer.stop()
    return found


async def count(
    bootstrap: str,
    prefix: str,
    *,
    until: int,
    settle_s: float = 1.0,
    topics: tuple[str, str] = OUTPUTS,
    since: Mapping[TopicPartition, int] | None = None,
) -> Counted:
    """Read the outputs until there are `until` decided ids and letters, and then on
    for `settle_s`, in which a duplicate may still show.

    From the beginning, or from the offsets that `ends` gave.
    """
    counted = Counted()
    decisions, letters = (prefix + topic for topic in topics)
    consumer = AIOKafkaConsumer(
        *(() if since else (decisions, letters)),
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=20,
    )
    await consumer.start()
    if since:
        consumer.assign(list(since))
        for place, offset in since.items():
            consumer.seek(place, offset)
    quiet_at = None
    while quiet_at is None or time.monotonic() < quiet_at:
        for tp, records in (await consumer.getmany(timeout_ms=100)).items():
            see = counted.see_decision if tp.topic == decisions else counted.see_letter
            for record in records:
                see(record)
        reached = len(counted.decisions) + len(counted.letters) >= until
        if reached and quiet_at is None:
            quiet_at = time.monotonic() + settle_s
    await consumer.stop()
    return counted


async def committed(
    bootstrap: str, prefix: str, *, topic: str = "transactions", partitions: int = 4
) -> int:
    """How many input records the group has committed."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=f"{prefix}scoring-stream",
        enable_auto_commit=False,
    )
    await consumer.start()
    places = [TopicPartition(prefix + topic, p) for p in range(partitions)]
    offsets = [await consumer.committed(place) or 0 for place in places]
    await consumer.stop()
    return sum(offsets)


@dataclass(slots=True)
class Worker:
    """A `scoring stream` process."""

    env: dict[str, str]
    output: Path
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen | None = None

    def start(self) -> Worker:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scoring", "stream", *self.arguments],
                env={**os.environ, **self.env},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    async def ready(self, times: int = 1) -> Worker:
        """Wait until it has been assigned partitions, counted over its restarts."""
        assert self.process
        while self.output.read_text().count("streaming from ") < times:
            assert self.process.poll() is None, self.output.read_text()
            await asyncio.sleep(0.02)
        return self

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill()
