"""Sets the demo's stage: model, store, broker, topics, our two processes."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

from scoring.demo.audit import DeliveryAudit
from scoring.demo.doors import DemoKafkaDoor, GrpcDoor
from scoring.demo.play import Play
from scoring.demo.reading import read_topics
from scoring.demo.tally import Tally
from scoring.demo.world import payments
from scoring.embedded.service import Parts, ServiceProcess, services
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.settings import Settings

PARTITIONS = 4
_WATCH_S = 0.2


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything running that the play needs."""

    parts: Parts
    topics: Topics
    serve: ServiceProcess
    stream: ServiceProcess


@contextmanager
def staged(
    parts: Parts, *, model_dir: Path, directory: Path, say: Callable[[str], None]
) -> Iterator[Stage]:
    """Create fresh topics and start both processes, until the block ends.

    Every run has a namespace and topics of its own, so that a store and a broker
    of the user's are not mixed up. `directory` takes logs and spools.
    """
    name = f"demo-{uuid4().hex[:8]}"
    topics = Topics(f"{name}.")
    environment = {
        **Settings().absolute_files(),
        **parts.environment_of(name, model_dir=model_dir, state_dir=directory),
        "SCORING_SCHEMA_REGISTRY_URL": "",  # topics of a moment have no subjects
        "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
        "SCORING_HTTP_ADDRESS": "127.0.0.1:0",
    }
    asyncio.run(create_topics(parts.client, topics, partitions=PARTITIONS))
    say("start the gRPC server and the stream worker")
    commands = ["serve", "stream"]
    with services(commands, environment, directory=directory) as (serve, stream):
        yield Stage(parts, topics, serve, stream)


@asynccontextmanager
async def playing(stage: Stage, *, rate: float, seed: int) -> Any:
    """Connect the clients and the independent consumer; yields the `Play`."""
    import grpc
    from aiokafka import AIOKafkaProducer

    audit, tally = DeliveryAudit(), Tally()
    source = payments(seed=seed, ends_before_ms=time.time_ns() // 1_000_000)
    # The first world is drawn here, before anybody waits for its payments.
    source = chain([next(source)], source)
    producer = AIOKafkaProducer(**stage.parts.client, acks="all", linger_ms=2)
    await producer.start()
    try:
        async with grpc.aio.insecure_channel(stage.serve.address) as channel:
            yield Play(
                DemoKafkaDoor(producer, stage.topics, audit),
                GrpcDoor(channel, audit, tally),
                audit,
                tally,
                source,
                rate,
                random.Random(seed),  # noqa: S311 the same demo again, not secrets
            )
    finally:
        await producer.stop()


async def run(
    play: Play,
    stage: Stage,
    *,
    seconds: float | None,
    show: Callable[[Play], Coroutine[Any, Any, None]],
) -> ServiceProcess | None:
    """Play until the time is up or somebody stops it, then drain.

    Returns the process that ended by itself, if one did.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, play.told)
    if seconds is not None:
        loop.call_later(seconds, play.stop.set)
    reading = read_topics(
        stage.parts.client,
        (stage.topics.decisions, stage.topics.transactions_dead_letter),
        fetch_wait_ms=stage.parts.fetch_wait_ms,
        on_record=play.on_record(stage.topics),
    )
    sending = loop.create_task(play.send())
    watching = loop.create_task(_dead(stage))
    showing = [loop.create_task(reading), loop.create_task(show(play))]
    try:
        await asyncio.wait(
            [sending, watching, *showing], return_when=asyncio.FIRST_COMPLETED
        )
        if not watching.done():
            await _unless_failed(sending, showing)
            await asyncio.wait(
                [loop.create_task(play.drain()), watching],
                return_when=asyncio.FIRST_COMPLETED,
            )
        return watching.result() if watching.done() else None
    finally:
        for task in (sending, watching, *showing):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _unless_failed(
    sending: asyncio.Task[None], others: list[asyncio.Task[None]]
) -> None:
    """Raise what a helper task died of; else wait for the sender."""
    for task in others:
        if task.done():
            task.result()
    await sending


async def _dead(stage: Stage) -> ServiceProcess:
    """Return the first of our processes that is no longer there."""
    while True:
        for one in (stage.serve, stage.stream):
            if not one.running:
                return one
        await asyncio.sleep(_WATCH_S)


def try_it(stage: Stage) -> str:
    """A line for the shell of a reader who wants to look for themselves."""
    serve = stage.serve
    return (
        f"export SCORING_TARGET={serve.address} GRPC={serve.address} "
        f"HTTP={serve.http_address} KAFKA={stage.parts.bootstrap} "
        f"TOPICS={stage.topics.prefix}"
    )
