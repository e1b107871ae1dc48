"""One worker process of the stream benchmark, by name; each does the same work.

`ours` is the stream door. `raw` is a plain aiokafka loop with whole polls, the same
intake, scorer and log; `transactional` commits its outputs and offsets in one Kafka
transaction a poll. `tutorial` is Faust and `quix` Quix Streams, each written as
its documentation does: records one at a time through the same scorer. With --stub
the scorer answers at once, which leaves the framework alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any

import uvloop

from scoring.core.decision.decision import Outcome
from scoring.doors.stream.input_fingerprint import source_headers
from scoring.doors.stream.worker import StreamDoor
from scoring.kafka.decision_records import CameFrom
from scoring.kafka.producer import KafkaLog
from scoring.pipeline.answer import Decided
from scoring.pipeline.batch import Artifacts
from scoring.ports.check import Check
from scoring.ports.log import LogRecord
from scoring.settings import Settings
from scoring.wiring.services import Service, service_from
from scoring.wiring.stream_app import stream_door_from

READY = "streaming from "


class StubScorer:
    """Answers every check at once with bytes of a usual size."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts

    async def score_many(self, checks: list[Check]) -> list[Decided]:
        """One decision a check."""
        return [
            Decided(b"d" * 700, Outcome.APPROVE, first=True, logged=b"d" * 900)
            for _ in checks
        ]


class Judge:
    """What every contestant does with records, through the same parts."""

    def __init__(self, door: StreamDoor) -> None:
        self.intake = door.intake()
        self.scorer = door.scorer
        self.records = door.records()

    async def outputs(self, records: list[Any]) -> list[LogRecord]:
        """Validate, hash, decide and encode; one output a fresh record."""
        checks = [self.intake.check(record) for record in records]
        answers = await self.scorer.score_many(checks)
        return [
            self.records.record(
                answer.logged,
                check.transaction,
                CameFrom(record.partition, source_headers(record)),
            )
            for record, check, answer in zip(records, checks, answers, strict=True)
            if isinstance(answer, Decided) and answer.logged
        ]


async def ours(door: StreamDoor, told: asyncio.Event) -> None:
    await door.run(told.wait, ready=ready)


async def raw(door: StreamDoor, told: asyncio.Event) -> None:
    from aiokafka import AIOKafkaConsumer

    options, judge = door.options, Judge(door)
    consumer = AIOKafkaConsumer(
        options.topics.transactions,
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=options.poll_records_max,
        fetch_max_wait_ms=options.fetch_wait_ms,
        session_timeout_ms=int(options.session_timeout_s * 1_000),
    )
    await consumer.start()
    ready()
    committed_at = time.monotonic()
    while not told.is_set():
        polled = await consumer.getmany(timeout_ms=200)
        for records in polled.values():
            await door.log.append(await judge.outputs(records))
        if time.monotonic() - committed_at > options.commit_interval_s and polled:
            await consumer.commit()
            committed_at = time.monotonic()
    await consumer.stop()


async def transactional(door: StreamDoor, told: asyncio.Event) -> None:
    """The raw loop with Kafka's transactions: outputs and offsets commit together.

    One transaction a poll: what waits longer for its commit is seen later.
    """
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

    options, judge = door.options, Judge(door)
    producer = AIOKafkaProducer(
        bootstrap_servers=options.bootstrap,
        transactional_id=os.environ.get("BENCH_TRANSACTIONAL_ID", options.group),
        transaction_timeout_ms=int(options.session_timeout_s * 1_000),
        max_batch_size=262_144,
    )
    await producer.start()  # fences the process that had this id before
    log = KafkaLog(producer, idempotent=True)
    consumer = AIOKafkaConsumer(
        options.topics.transactions,
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=options.poll_records_max,
        fetch_max_wait_ms=options.fetch_wait_ms,
        session_timeout_ms=int(options.session_timeout_s * 1_000),
    )
    await consumer.start()
    ready()
    while not told.is_set():
        polled = await consumer.getmany(timeout_ms=200)
        if not polled:
            continue
        async with producer.transaction():
            for records in polled.values():
                await log.append(await judge.outputs(records))
            read = {
                TopicPartition(tp.topic, tp.partition): records[-1].offset + 1
                for tp, records in polled.items()
            }
            await producer.send_offsets_to_transaction(read, options.group)
    await consumer.stop()
    await producer.stop()


async def tutorial(door: StreamDoor, told: asyncio.Event) -> None:
    import faust

    options, judge = door.options, Judge(door)
    with tempfile.TemporaryDirectory() as scratch:
        app = faust.App(
            options.group,
            broker=f"kafka://{options.bootstrap}",
            value_serializer="raw",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            datadir=scratch,
            broker_session_timeout=options.session_timeout_s,
            broker_heartbeat_interval=1.0,
        )
        source = app.topic(options.topics.transactions, value_serializer="raw")
        sink = app.topic(options.topics.decisions, value_serializer="raw")

        async def take(stream: Any) -> None:
            async for event in stream.events():
                for output in await judge.outputs([Record(event.message)]):
                    await sink.send(
                        key=output.key,
                        value=output.value,
                        partition=output.partition,
                        headers=dict(output.headers),
                    )

        app.agent(source)(take)

        async def assigned(*_: Any, **__: Any) -> None:
            ready()

        app.on_partitions_assigned.connect(assigned, weak=False)
        await app.maybe_start()
        await told.wait()
        await app.stop()


class Record:
    """A Faust message as an aiokafka record."""

    def __init__(self, message: Any) -> None:
        self.topic, self.partition = message.topic, message.partition
        self.offset, self.key, self.value = message.offset, message.key, message.value
        self.timestamp = int(message.timestamp * 1_000)
        headers = message.headers or ()
        self.headers = list(headers.items() if isinstance(headers, dict) else headers)


def ready() -> None:
    sys.stdout.write(f"{READY}the topic\n")
    sys.stdout.flush()


def door_of(service: Service, *, stub: bool) -> StreamDoor:
    door = stream_door_from(service)
    if not stub:
        return door
    return replace(door, scorer=StubScorer(door.scorer.artifacts))  # type: ignore[arg-type]


async def run(name: str, *, stub: bool) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with service_from(Settings(), name=f"bench-{name}") as service:
        assert isinstance(service.log, KafkaLog)
        door = door_of(service, stub=stub)
        await LOOPS[name](door, told)


LOOPS = {
    "ours": ours,
    "raw": raw,
    "transactional": transactional,
    "tutorial": tutorial,
}


def quix(*, stub: bool) -> None:
    """Between its callbacks the loop stands still; the service ends with it."""
    context = service_from(Settings(), name="bench-quix")
    with asyncio.Runner() as runner:
        service = runner.run(context.__aenter__())
        try:
            _quix(runner, door_of(service, stub=stub))
        finally:
            runner.run(context.__aexit__(None, None, None))


def _quix(runner: asyncio.Runner, door: StreamDoor) -> None:
    from quixstreams import Application

    options, judge = door.options, Judge(door)
    app = Application(
        broker_address=options.bootstrap,
        consumer_group=options.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_interval=options.commit_interval_s,
        consumer_extra_config={"fetch.wait.max.ms": options.fetch_wait_ms},
        loglevel="WARNING",
    )
    source = app.topic(options.topics.transactions, value_deserializer="bytes")
    sink = app.topic(
        options.topics.decisions, value_serializer="bytes", key_serializer="bytes"
    )
    frame = app.dataframe(source)

    def decide(value: bytes, key: Any, timestamp: int, headers: Any) -> bytes:
        record = Record.__new__(Record)
        record.topic, record.partition, record.offset = source.name, 0, 0
        record.key, record.value, record.timestamp = key, value, timestamp
        record.headers = list(headers or ())
        outputs = runner.run(judge.outputs([record]))
        return outputs[0].value

    frame.apply(decide, metadata=True).to_topic(sink)
    ready()
    app.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=[*LOOPS, "quix"])
    parser.add_argument("--stub", action="store_true")
    chosen = parser.parse_args()
    if chosen.name == "quix":
        quix(stub=chosen.stub)
    else:
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        asyncio.run(run(chosen.name, stub=chosen.stub))
