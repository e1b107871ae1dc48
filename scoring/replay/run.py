"""Plays a table through a door: steps in, decisions to Parquet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.transaction.label import Label
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction
from scoring.errors import Unavailable
from scoring.kafka.topic_names import Topics
from scoring.replay.collect import Collector
from scoring.replay.door import GrpcReplayDoor, KafkaReplayDoor, ReplayDoor
from scoring.replay.pace import ReplayPace
from scoring.replay.repeats import Repeats
from scoring.replay.schedule import (
    WINDOW_ROWS,
    Changed,
    Entities,
    FollowUpsDue,
    Reported,
    ScheduleStep,
    ordered_steps,
    plain_steps,
)
from scoring.tables.events import events_by_payment
from scoring.tables.table import Table

_STEP_ROWS_MAX = 500
_PENDING_MAX = 5_000  # rows on their way through Kafka: bounds memory and drain
_REQUEST_BYTES_MAX = 1_048_576
_EVER_MS = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to play and how.

    `label_delay_ms` None takes the mapping's; `feed_labels` False keeps the truth
    to the report; `label_lead_ms` sends follow-ups so long before they are known.
    `events` are lifecycle events of the rows, a table as `events_from` gives it, with
    no row where none happened; None: nothing is told of them.
    """

    table: Table
    catalogue: Catalogue
    ordered: bool = True
    feed_labels: bool = True
    label_delay_ms: int | None = None
    label_lead_ms: int = 0
    events: Any = None
    rate: float | None = None
    time_lapse: float | None = None


@dataclass(slots=True)
class ReplayTally:
    """What a replay did, beyond the collector's counts."""

    labels: int = 0
    labels_left: int = 0  # not yet known when the last row occurred
    events: int = 0
    events_left: int = 0  # not yet known, or their payments are not in the table
    seconds: float = 0.0


async def play(
    plan: Plan,
    door: ReplayDoor,
    collector: Collector,
    *,
    progress: Callable[[int], None],
) -> ReplayTally:
    """Send everything and wait for every answer.

    `progress` gets how many rows are answered. Raises `Unavailable` when
    nothing comes back any more.
    """
    tally, due = ReplayTally(), _due(plan)
    pace = ReplayPace(time.monotonic, asyncio.sleep, plan.rate, plan.time_lapse)
    began = time.monotonic()
    for step in _steps(plan, due, pace):
        if step.rows:
            first_ms = step.rows[0].transaction.occurred_at_ms
            await pace.ready(first_ms, rows=len(step.rows))
        await door.learn(step.follow_ups)
        await door.applied(_applied_by(plan, step))
        await door.check(step.rows)
        if plan.ordered:
            await door.settle()
        else:
            await collector.until_pending(_PENDING_MAX)
        labels = sum(isinstance(one, Label) for one in step.follow_ups)
        tally.labels += labels
        tally.events += len(step.follow_ups) - labels
        progress(collector.sent - collector.pending)
    await door.settle()
    progress(collector.sent - collector.pending)
    tally.labels_left, tally.events_left = due.left(Label), due.left(LifecycleEvent)
    tally.seconds = time.monotonic() - began
    return tally


def _applied_by(plan: Plan, step: ScheduleStep) -> int:
    """The instant whose follow-ups a step needs: all, or ahead, what it may know."""
    if plan.ordered:
        return _EVER_MS
    if plan.label_lead_ms and step.rows:
        return step.rows[-1].transaction.occurred_at_ms
    return 0


def _due(plan: Plan) -> FollowUpsDue:
    events = {} if plan.events is None else events_by_payment(plan.events)
    return FollowUpsDue(plan.feed_labels, plan.label_lead_ms, events)


def _steps(plan: Plan, due: FollowUpsDue, pace: ReplayPace) -> Iterator[ScheduleStep]:
    batches = plan.table.batches(label_delay_ms=plan.label_delay_ms)
    rows = chain.from_iterable(batches)
    if plan.ordered:
        return ordered_steps(
            rows,
            due,
            reads=entities_of(plan.catalogue.plans),
            changes=changed_by(plan.catalogue),
            rows_max=pace.rows_max(WINDOW_ROWS),
        )
    return plain_steps(rows, due, rows_max=pace.rows_max(_STEP_ROWS_MAX))


def entities_of(plans: Sequence[EntityPlan]) -> Entities:
    """The entities of a transaction; a field that is not known names none."""

    def entities(transaction: Transaction) -> list[tuple[str, ...]]:
        return [
            (plan.name, *own) for plan in plans if (own := plan.tokens(transaction))
        ]

    return entities


def changed_by(catalogue: Catalogue) -> Changed:
    """The entities that a follow-up changes."""
    labels = entities_of([plan for plan in catalogue.plans if plan.labelled])
    events = entities_of([plan for plan in catalogue.plans if plan.of_events])

    def changed(one: Reported) -> Sequence[tuple[str, ...]]:
        assert one.transaction is not None
        return (labels if isinstance(one, Label) else events)(one.transaction)

    return changed


@dataclass(frozen=True, slots=True)
class KafkaTarget:
    """The broker that rows go to; `client` holds the options of an aiokafka client."""

    client: dict[str, Any]
    topics: Topics
    fetch_wait_ms: int


@asynccontextmanager
async def kafka_door(
    target: KafkaTarget, collector: Collector, *, from_now: bool = False
) -> AsyncIterator[KafkaReplayDoor]:
    """Connect to a broker and read its decisions until the block ends.

    `from_now` passes over what the topics hold already.
    """
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from aiokafka.admin import AIOKafkaAdminClient

    client, topics = target.client, target.topics
    producer = AIOKafkaProducer(**client, acks="all", linger_ms=1)
    consumer = AIOKafkaConsumer(
        topics.decisions,
        topics.transactions_dead_letter,
        **client,
        group_id=None,
        isolation_level="read_committed",
        # Not seek_to_end: the answer to the reset at the start may come after it.
        auto_offset_reset="latest" if from_now else "earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=target.fetch_wait_ms,
    )
    ends = AIOKafkaConsumer(**client, group_id=None, isolation_level="read_committed")
    admin = AIOKafkaAdminClient(**client)
    started: list[Any] = []
    try:
        for one in (producer, consumer, ends, admin):
            await one.start()
            started.append(one)
        for place in consumer.assignment():  # before anything is sent
            await consumer.position(place)
        repeats = Repeats(admin, ends, topics.group)
        await repeats.begin(await _partitions(producer, topics.transactions))
        door = KafkaReplayDoor(
            producer, consumer, admin, topics, collector, topics.group, repeats
        )
        working = asyncio.gather(door.read(), door.look())
        try:
            yield door
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
    finally:
        for one in reversed(started):
            await (one.close() if one is admin else one.stop())


async def _partitions(producer: Any, topic: str) -> list[Any]:
    from aiokafka import TopicPartition

    found = await producer.partitions_for(topic)
    return [TopicPartition(topic, partition) for partition in found]


@asynccontextmanager
async def grpc_door(
    address: str, collector: Collector, *, ordered: bool
) -> AsyncIterator[GrpcReplayDoor]:
    """Connect to a server until the block ends; raises `Unavailable`."""
    import grpc

    limits = [("grpc.max_receive_message_length", 64 * _REQUEST_BYTES_MAX)]
    async with grpc.aio.insecure_channel(address, options=limits) as channel:
        try:
            yield GrpcReplayDoor(channel, collector, ordered)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(
                f"the server answered {error.code().name}: {error.details()}"
            ) from error
