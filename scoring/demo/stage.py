"""Sets the demo's stage: topics, our processes, and who may look at the console."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from scoring.client.control_plane import ControlApi, Refused
from scoring.demo.audit import DeliveryAudit
from scoring.demo.doors import DemoKafkaDoor, GrpcDoor
from scoring.demo.people import PEOPLE, apis_of, invite
from scoring.demo.play import Play
from scoring.demo.reading import read_topics
from scoring.demo.seeds import seed, work_cases
from scoring.demo.tally import Tally
from scoring.demo.world import payments
from scoring.embedded.service import Parts, ServiceProcess, service, services
from scoring.errors import ScoringError
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.settings import Settings

PARTITIONS = 4
_DOORS = ("serve", "stream")
_WATCH_S = 0.2


@dataclass(frozen=True, slots=True)
class Team:
    """Control plane and console, and who is there: names with their tokens."""

    control: ServiceProcess
    console: ServiceProcess
    tokens: Mapping[str, str]

    @property
    def apis(self) -> dict[str, ControlApi]:
        """The control plane as each of them comes to it."""
        return apis_of(self.control.address, self.tokens)


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything running that the play needs; a team where somebody may look."""

    parts: Parts
    topics: Topics
    serve: ServiceProcess
    stream: ServiceProcess
    team: Team | None = None

    @property
    def processes(self) -> tuple[ServiceProcess, ...]:
        """All of ours."""
        own = (self.serve, self.stream)
        return (
            own if self.team is None else (*own, self.team.control, self.team.console)
        )


@contextmanager
def staged(
    parts: Parts, *, model_dir: Path, directory: Path, say: Callable[[str], None]
) -> Iterator[Stage]:
    """Create fresh topics and start both processes, until the block ends.

    Every run has a namespace and topics of its own, so that a store and a broker
    of the user's are not mixed up. `directory` takes logs and spools.
    """
    topics, environment = _fresh(parts, model_dir, directory)
    say("start the gRPC server and the stream worker")
    with services(_DOORS, environment, directory=directory) as (serve, stream):
        yield Stage(parts, topics, serve, stream)


@contextmanager
def staged_with_team(
    parts: Parts, *, directory: Path, say: Callable[[str], None]
) -> Iterator[Stage]:
    """As `staged`, with control plane and console, and people who have begun.

    `directory` has `model` and `archive`, and takes logs; what else the processes keep
    ends with the block.
    """
    with ExitStack() as stack:
        state = stack.enter_context(TemporaryDirectory(prefix="scoring-demo-"))
        topics, environment = _fresh(parts, directory / "model", Path(state))
        environment |= {
            "SCORING_POLICY_FROM": "control",
            "SCORING_CONTROL_ADDRESS": "127.0.0.1:0",
            "SCORING_CONSOLE_ADDRESS": "127.0.0.1:0",
            "SCORING_ARCHIVE_DIR": str((directory / "archive").resolve()),
        }
        say("start the gRPC server, the stream worker, the control plane, the console")
        started = services([*_DOORS, "control"], environment, directory=directory)
        serve, stream, control = stack.enter_context(started)
        tokens = invite(control.address, Path(state))
        environment["SCORING_CONTROL_URL"] = control.address
        environment["SCORING_TARGET"] = serve.address
        with ThreadPoolExecutor(1) as pool:  # beside the console's imports
            seeded = pool.submit(seed, apis_of(control.address, tokens))
            pages = service("console", environment, directory=directory)
            team = Team(control, stack.enter_context(pages), tokens)
            try:
                seeded.result()
            except Refused as error:  # a policy of yours that shares nothing with ours
                say(f"the console begins with less to show: {error}")
        yield Stage(parts, topics, serve, stream, team)


def _fresh(
    parts: Parts, model_dir: Path, state_dir: Path
) -> tuple[Topics, dict[str, str]]:
    """Topics of a new name, made, and the settings of processes on them."""
    name = f"demo-{uuid4().hex[:8]}"
    topics = Topics(f"{name}.")
    asyncio.run(create_topics(parts.client, topics, partitions=PARTITIONS))
    return topics, {
        **Settings().absolute_files(),
        **parts.environment_of(name, model_dir=model_dir, state_dir=state_dir),
        "SCORING_SCHEMA_REGISTRY_URL": "",  # topics of a moment have no subjects
        "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
        "SCORING_HTTP_ADDRESS": "127.0.0.1:0",
    }


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
    if stage.team is not None:
        _begin_cases(stage.team, play)
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


def _begin_cases(team: Team, play: Play) -> None:
    """Have people work on the first cases, beside the play."""

    def work() -> None:
        with suppress(ScoringError):  # the control plane ends with the play
            work_cases(team.apis, play.stop.is_set)

    threading.Thread(target=work, daemon=True).start()


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
        for one in stage.processes:
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


def who_may_look(stage: Stage) -> list[str]:
    """Where console and control plane are, and a token of each role to log in with."""
    if stage.team is None:
        return []
    people = [
        f"{name}  {PEOPLE[name]:<8}  {token}"
        for name, token in stage.team.tokens.items()
    ]
    at = f"export SCORING_CONTROL_URL={stage.team.control.address}"
    return [f"console  {stage.team.console.address}  log in as one of:", *people, at]
