"""Whole records, fuzzed, through a real Apache Kafka: each one is accounted for.

Key, value, headers, times, codec and what a batch says of itself; by hand, by
idempotent and by transactional producers. SCORING_FUZZ_RECORDS says how many.
"""

import asyncio
import json
import os
import random
import re
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from kafka_batches import CODECS, GZIP, LZ4, SNAPPY, ZSTD, Raw, batch, produce
from stream_parts import NOW_MS, transaction

RECORDS = int(os.environ.get("SCORING_FUZZ_RECORDS", "1500"))
PARTITIONS = 4
BOMB_BYTES = 400_000_000
# A worker takes some 250 MB; a batch is inflated into 64 MiB at most, and copied.
RSS_KB_MAX = 900_000
NAMES = (b"content-type", b"src", b"src-print", b"traceparent", b"transaction-id", b"x")
TYPES = (
    None, b"", b"application/json", b"application/x-protobuf", b'"application/json"',
    b"application/json; charset=utf-8", b"text/plain", b"\xff",
)  # fmt: skip
TIMES = (NOW_MS, 0, -1, NOW_MS + 7_200_000, 2**62, 1)

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.parametrize("broker", ["kafka"], indirect=True),
]


def a_value(rnd: random.Random, n: int) -> bytes | None:
    raw = transaction(f"t{n}").SerializeToString()
    text = json.dumps(
        {"id": f"t{n}", "occurredAt": "2024-01-01T00:00:00Z", "amountMinor": "5",
         "currency": "EUR", "card": f"card-{n % 97}"}
    ).encode()  # fmt: skip
    hurt = bytearray(raw)
    hurt[rnd.randrange(len(hurt))] ^= 1 << rnd.randrange(8)
    kinds = [
        *[raw, text] * 4,
        b"\xef\xbb\xbf" + text,
        raw[: rnd.randrange(len(raw))],
        bytes(hurt),
        text[: rnd.randrange(len(text))],
        b"\x00\x00\x00\x00\x07\x00" + raw,
        rnd.randbytes(rnd.randrange(300)),
        None,
        b"",
    ]
    if rnd.random() < 0.01:
        kinds = [b"x" * rnd.choice((70_000, 300_000, 900_000))]
    return rnd.choice(kinds)


def a_header(rnd: random.Random) -> tuple[bytes, bytes | None]:
    name = rnd.choice((*NAMES, b"", b"\xff\xfe", rnd.randbytes(rnd.randrange(9))))
    if name == b"content-type":
        return name, rnd.choice(TYPES)
    return name, rnd.choice((None, b"", b"7", rnd.randbytes(rnd.randrange(40))))


def a_record(rnd: random.Random, n: int) -> Raw:
    few = rnd.choice((0, 0, 0, 1, 2, 3, 40))
    return Raw(
        value=a_value(rnd, n),
        key=rnd.choice((None, b"", b"card-7", rnd.randbytes(rnd.randrange(50)))),
        headers=[a_header(rnd) for _ in range(few)],
        timestamp=rnd.choice(TIMES) if rnd.random() < 0.2 else NOW_MS,
        attributes=0 if rnd.random() < 0.9 else rnd.randrange(128),
    )


def batches(rnd: random.Random, count: int, start: int):
    """Records in batches of any codec; ids count on from `start`."""
    made = 0
    while made < count:
        size = min(rnd.choice((1, 2, 10, 50)), count - made)
        records = [a_record(rnd, start + made + i) for i in range(size)]
        yield records, rnd.choice(CODECS), rnd.random() < 0.5
        made += size


async def any_time_is_taken(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    configs = {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": str(2**63 - 1),
        "message.timestamp.before.max.ms": str(2**63 - 1),
    }
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, configs)]
    )
    await admin.close()


async def sent_by_hand(bootstrap, topic, rnd, count, start=0) -> set[tuple[int, int]]:
    made = [
        (rnd.randrange(PARTITIONS), records, batch(records, codec, framed=framed))
        for records, codec, framed in batches(rnd, count, start)
    ]
    offsets = await produce(bootstrap, topic, [(p, raw) for p, _, raw in made])
    return {
        (partition, first + i)
        for (partition, records, _), first in zip(made, offsets, strict=True)
        if first >= 0
        for i in range(len(records))
    }


async def sent_by_producers(bootstrap, topic, rnd, count):
    """What producers sent: (committed, aborted)."""
    committed, aborted = set(), set()
    kinds = (None, "gzip", "snappy", "lz4", "zstd")
    for n, kind in enumerate(kinds * 2):
        transactional = n >= len(kinds)
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            compression_type=kind,
            **(
                {"transactional_id": f"{topic}-{n}"}
                if transactional
                else {"enable_idempotence": True}
            ),
        )
        await producer.start()
        for part in range(2 if transactional else 1):
            if transactional:
                await producer.begin_transaction()
            places = set()
            for i in range(count // 20):
                value = a_value(rnd, 10_000_000 + n * 100_000 + part * 10_000 + i)
                told = await producer.send(
                    topic, value, key=b"k", partition=i % PARTITIONS
                )
                places.add(told)
            done = {(await told) for told in places}
            found = {(one.partition, one.offset) for one in done}
            if transactional and part == 0:
                await producer.abort_transaction()
                aborted |= found
                continue
            if transactional:
                await producer.commit_transaction()
            committed |= found
        await producer.stop()
    return committed, aborted


async def bombs(bootstrap, topic) -> set[tuple[int, int]]:
    """Batches of 1 MB and less that inflate to hundreds; each of three records."""
    huge = [Raw(bytes(BOMB_BYTES)), Raw(b"x"), Raw(b"y")]
    large = [Raw(bytes(20_000_000)), Raw(b"x"), Raw(b"y")]
    raws = [batch(huge, codec) for codec in (GZIP, ZSTD)]
    raws += [batch(large, codec) for codec in (GZIP, SNAPPY, LZ4, ZSTD)]
    offsets = await produce(bootstrap, topic, [(0, raw) for raw in raws])
    assert sum(first >= 0 for first in offsets) >= 4
    return {(0, first + i) for first in offsets if first >= 0 for i in range(3)}


class Account:
    """Which inputs the outputs answer, by a consumer that looks at nothing else."""

    def __init__(self):
        self.answered: list[tuple[int, int]] = []
        self.unread: set[tuple[int, int]] = set()

    def see(self, record) -> None:
        at = int(dict(record.headers)["src"])
        self.answered.append((record.partition, at))
        for first, last in re.findall(
            rb"offsets (\d+) to (\d+) not read", record.value
        ):
            self.unread |= {
                (record.partition, n) for n in range(int(first), int(last) + 1)
            }

    @property
    def all(self) -> set[tuple[int, int]]:
        return set(self.answered) | self.unread


async def accounted(bootstrap, prefix, expected, *, within_s) -> Account:
    account = Account()
    consumer = AIOKafkaConsumer(
        f"{prefix}decisions",
        f"{prefix}transactions.dead-letter",
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    ends_at = time.monotonic() + within_s
    settled_at = None
    while time.monotonic() < min(ends_at, settled_at or ends_at):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                account.see(record)
        if settled_at is None and expected <= account.all:
            settled_at = time.monotonic() + 2
    await consumer.stop()
    return account


def peak_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


async def test_every_record_that_a_broker_takes_is_decided_or_laid_aside(
    stream, capsys
):
    rnd = random.Random(20)
    bootstrap, topic = stream.broker.bootstrap, f"{stream.prefix}transactions"
    await any_time_is_taken(bootstrap, topic)
    worker = await stream.worker(SCORING_MESSAGE_BYTES_MAX="1048576").ready()
    started = time.monotonic()
    expected = await sent_by_hand(bootstrap, topic, rnd, RECORDS // 2)
    committed, aborted = await sent_by_producers(bootstrap, topic, rnd, RECORDS // 2)
    expected |= committed | await bombs(bootstrap, topic)
    expected |= await sent_by_hand(bootstrap, topic, rnd, RECORDS // 4, RECORDS)
    account = await accounted(
        bootstrap, stream.prefix, expected, within_s=60 + len(expected) / 50
    )
    with capsys.disabled():
        print(
            f"\nfuzz: {len(expected):,} records and {len(aborted):,} aborted in "
            f"{time.monotonic() - started:.0f} s; the worker took "
            f"{peak_kb(worker.process.pid) / 1_000:.0f} MB at most"
        )
    assert worker.process.poll() is None, worker.output.read_text()
    assert sorted(expected - account.all) == []
    assert sorted(aborted & account.all) == []
    assert len(account.answered) == len(set(account.answered))
    assert peak_kb(worker.process.pid) < RSS_KB_MAX
    assert worker.terminate() == 0
    assert await asyncio.wait_for(caught_up(stream), 30)


async def caught_up(stream) -> bool:
    """Nothing is left behind: another worker finds everything committed."""
    worker = await stream.worker().ready()
    await asyncio.sleep(2)
    return worker.process.poll() is None
