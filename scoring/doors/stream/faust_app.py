"""The stream door: Faust agents that judge transactions and learn labels."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from scoring.doors.stream.lag_monitor import Watch
from scoring.doors.stream.partition_queue import PartitionQueues, Work, end_process
from scoring.doors.stream.poll_consumer import PollApp
from scoring.doors.stream.stall_detector import Progress, Stalled
from scoring.kafka.client_logs import spare_the_log
from scoring.kafka.credentials import faust_credentials
from scoring.kafka.topic_names import Topics

log = logging.getLogger(__name__)
_WATCH_S = 0.2
# Faust and aiokafka build a record for each debug message below this level.
_QUIET = ("aiokafka", "faust", "mode", "kafka")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How a worker takes part in its group, what it accepts and what it writes.

    `skew_ms` is how far an event time may lie ahead of the broker's timestamp.
    `directory` is Faust's own; it keeps nothing there, so workers may share it.
    `topic_ids` are the inputs' incarnations, as far as the broker tells them.
    """

    bootstrap: str
    group: str
    topics: Topics
    client: Mapping[str, str]
    fetch_wait_ms: int
    session_timeout_s: float
    commit_interval_s: float
    poll_records_max: int
    content_type: str
    message_bytes_max: int
    skew_ms: int
    exempt: frozenset[str]
    directory: Path
    topic_ids: Mapping[str, str] = field(default_factory=dict)


class Crashed(Exception):
    """Faust ended the app; its reason is the cause."""


async def stream_until(
    told: Callable[[], Awaitable[object]],
    works: Mapping[str, Work],
    *,
    progress: Progress,
    options: StreamOptions,
    ready: Callable[[], None],
) -> None:
    """Do each topic's work until `told` returns, then settle, commit and leave.

    `ready` is called once, with the first assignment. Whatever is not foreseen ends
    the process: what is not committed is delivered again.
    """
    spare_the_log()
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    app = poll_app(options)
    for topic, work in works.items():
        _add_agent(app, topic, work)
    assigned = asyncio.Event()

    async def on_assigned(*_: Any, **__: Any) -> None:
        progress.assigned()
        assigned.set()

    app.on_partitions_assigned.connect(on_assigned, weak=False)
    watch = Watch(progress, tuple(works), options.topics.prefix)
    watching = asyncio.ensure_future(_watch(app, watch))
    await app.maybe_start()
    announced = asyncio.ensure_future(_announce(assigned, ready))
    await told()
    watching.cancel()
    announced.cancel()
    if app.polls is not None:
        await app.polls.settle()
    await app.stop()


def poll_app(options: StreamOptions) -> PollApp:
    """Build the app; every setting that differs from Faust's default has its reason."""
    options.directory.mkdir(parents=True, exist_ok=True)
    session_timeout_s = options.session_timeout_s
    app = PollApp(
        options.group,
        broker=[f"kafka://{address}" for address in options.bootstrap.split(",")],
        broker_credentials=faust_credentials(options.client),
        broker_session_timeout=session_timeout_s,
        broker_rebalance_timeout=session_timeout_s,
        broker_heartbeat_interval=session_timeout_s / 6,
        broker_request_timeout=max(30.0, session_timeout_s),
        broker_commit_interval=options.commit_interval_s,
        broker_max_poll_records=options.poll_records_max,
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,  # `scoring topics create` does that, and checks
        topic_disable_leader=True,  # no topic of Faust's own
        table_standby_replicas=0,  # no tables: round-robin assignment
        stream_buffer_maxsize=2,  # polls, not records
        stream_wait_empty=False,  # we settle ourselves, and bounded
        stream_processing_timeout=60.0,  # only logs
        web_enabled=False,  # it would serve on a port of its own
        store="memory://",
        datadir=str(options.directory),
        autodiscover=False,
    )
    app.fetch_wait_ms = options.fetch_wait_ms
    app.topic_ids = options.topic_ids
    return app


def _add_agent(app: PollApp, topic: str, work: Work) -> None:
    queues = PartitionQueues(work, end_process)

    async def take(stream: Any) -> None:
        source = stream.noack()
        async for event in source.events():
            await queues.take(event.value, partial(source.ack, event))

    channel = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw")
    # Concurrency 1: out of order, Faust would commit past what is not finished.
    app.agent(channel, name=f"take-{topic}", concurrency=1)(take)


async def _announce(assigned: asyncio.Event, ready: Callable[[], None]) -> None:
    await assigned.wait()
    ready()


async def _watch(app: PollApp, watch: Watch) -> None:
    """End the process when Faust has given up, or nothing moves: it stays alive."""
    while not app.crashed:
        await asyncio.sleep(_WATCH_S)
        if app.polls is not None and watch.look(app.polls):
            end_process(Stalled("records wait and nothing goes forward"))
    end_process(app.crash_reason or Crashed("the Faust app crashed"))
