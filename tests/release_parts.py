"""Policies and records of the topic `control`, as the control plane writes them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.policy.shipped_policy import shipped_text
from scoring.core.release.policy_release import POLICY_KEY, PolicyRelease, PolicyText
from scoring.wire.control_json import release_to_json, sealing, text_to_json

CATALOGUE = default_catalogue()
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
}


@dataclass(frozen=True)
class Record:
    """One as the client hands it over."""

    key: bytes | None
    value: bytes | None
    headers: tuple = ()
    topic: str = "control"
    offset: int = 0


@cache
def policy_text(number: int) -> PolicyText:
    """The shipped policy under another name: another version for each number."""
    text = shipped_text().replace("version: 1\n", f"version: 1\n# no. {number}\n", 1)
    text = _renamed(text, f"policy {number}")
    policy = load_policy(text, catalogue=CATALOGUE, name="policy")
    return PolicyText(policy.version, text)


def _renamed(text: str, name: str) -> str:
    lines = text.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith("name:"))
    lines[at] = f"name: {name}\n"
    return "".join(lines)


@dataclass
class Outbox:
    """Numbers what it writes, as the control plane's does."""

    sequence: int = 0
    records: list[Record] = field(default_factory=list)

    def put(self, key: str, value: bytes | None) -> Record:
        self.sequence += 1
        headers = tuple(sealing(self.sequence, value))
        record = Record(key.encode(), value, headers, offset=self.sequence)
        self.records.append(record)
        return record

    def text(self, number: int) -> Record:
        text = policy_text(number)
        return self.put(text.key, text_to_json(text))

    def release(self, number: int, **more) -> Record:
        """Release so many of the policy of that number; its text must come before."""
        release = PolicyRelease(
            release=number, policy=policy_text(number).version, **more
        )
        return self.put(POLICY_KEY, release_to_json(release))

    def publish(self, number: int, **more) -> list[Record]:
        return [self.text(number), self.release(number, **more)]


class Control:
    """The topic, and the control plane's outbox that is relayed to it."""

    def __init__(self, bootstrap, topic):
        self.bootstrap, self.topic, self.outbox = bootstrap, topic, Outbox()

    @asynccontextmanager
    async def admin(self):
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await client.start()
        try:
            yield client
        finally:
            await client.close()

    async def create(self, **configs):
        configs = {**COMPACTED, **configs}
        new = NewTopic(self.topic, 1, 1, topic_configs=configs)
        async with self.admin() as client:
            while True:
                made = await client.create_topics([new])
                if not made.topic_errors[0][1]:
                    return
                await asyncio.sleep(0.2)

    async def delete(self):
        async with self.admin() as client:
            await client.delete_topics([self.topic])
            while not (await client.describe_topics([self.topic]))[0]["error_code"]:
                await asyncio.sleep(0.1)

    async def truncate(self):
        place = TopicPartition(self.topic, 0)
        async with self.admin() as client:
            await client.delete_records({place: RecordsToDelete(before_offset=-1)})

    @asynccontextmanager
    async def relay(self):
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            transactional_id=f"{self.topic}-relay",
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def send(self, producer, *records):
        for record in records:
            await producer.send_and_wait(
                self.topic, record.value, key=record.key, headers=list(record.headers)
            )

    async def publish(self, number):
        async with self.relay() as producer, producer.transaction():
            await self.send(producer, *self.outbox.publish(number))
