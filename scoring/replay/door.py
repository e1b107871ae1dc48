"""The doors a replay can go through: Kafka and gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Protocol, TypeVar

import grpc
from aiokafka.errors import KafkaError

from scoring import wire
from scoring.core.transaction.label import Label
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.errors import ScoringError, Unavailable
from scoring.kafka.topic_names import Topics, key_of
from scoring.replay.collect import Collector
from scoring.replay.repeats import Repeats
from scoring.replay.schedule import Reported
from scoring.tables.admission import Row
from scoring.v1 import (
    decision_pb2,
    fraud_scoring_pb2,
    fraud_scoring_pb2_grpc,
    transaction_pb2,
)

_HEADERS = [("content-type", wire.PROTOBUF.encode())]
_BATCH_ROWS_MAX = 250  # a batch of large transactions stays below the message limit
_CALLS_MAX = 4  # in flight at once: enough to keep the server busy
_CALL_TIMEOUT_S = 120.0
_APPLIED_TIMEOUT_S = 120.0
_APPLIED_POLL_S = 0.005
_LOOK_S = 0.25  # between looks at where the worker is
_MISSED = "the call missed its deadline; play the row again: a repeat changes nothing"


T = TypeVar("T")


class ReplayDoor(Protocol):
    """Takes follow-ups and rows; decisions and refusals arrive at the collector."""

    async def learn(self, follow_ups: Sequence[Reported]) -> None:
        """Report labels and events, in the order in which they become known."""
        ...

    async def applied(self, until_ms: int) -> None:
        """Return when features reflect the follow-ups known by an instant."""
        ...

    async def check(self, rows: Sequence[Row]) -> None:
        """Hand rows over, in order; their decisions come later."""
        ...

    async def settle(self) -> None:
        """Return when every row handed over is answered."""
        ...


@dataclass(slots=True)
class KafkaReplayDoor:
    """Appends to the topics of payments and follow-ups and reads the decisions.

    `group` is the stream worker's: follow-ups count as applied once it has committed
    them.
    """

    producer: Any
    consumer: Any
    admin: Any
    topics: Topics
    collector: Collector
    group: str
    repeats: Repeats
    # A heap: sent ahead, they do not come in the order in which they become known.
    _told: list[tuple[int, int, Awaitable[Any]]] = field(default_factory=list)
    _learned: int = 0
    _committed: dict[Any, int] = field(default_factory=dict)
    _read_to: dict[Any, int] = field(default_factory=dict)

    async def learn(self, follow_ups: Sequence[Reported]) -> None:
        """Append, keyed like transactions."""
        for one in follow_ups:
            key = key_of(one.transaction) if one.transaction else None
            label = isinstance(one, Label)
            topic = self.topics.labels if label else self.topics.events
            sent = await self.producer.send(
                topic, wire.follow_up_to_bytes(one), key=key, headers=_HEADERS
            )
            self._learned += 1
            heappush(self._told, (one.known_at_ms, self._learned, sent))

    async def applied(self, until_ms: int) -> None:
        """Wait for the worker's commit of what was appended."""
        due: dict[Any, int] = {}
        while self._told and self._told[0][0] <= until_ms:
            record = await heappop(self._told)[2]
            place = record.topic_partition
            due[place] = max(due.get(place, 0), record.offset + 1)
        ends_at = asyncio.get_running_loop().time() + _APPLIED_TIMEOUT_S
        while any(self._committed.get(p, 0) < end for p, end in due.items()):
            if asyncio.get_running_loop().time() > ends_at:
                raise Unavailable(
                    "the stream worker did not apply labels or events in "
                    f"{_APPLIED_TIMEOUT_S} s"
                )
            await asyncio.sleep(_APPLIED_POLL_S)
            told = await self.admin.list_consumer_group_offsets(
                self.group, partitions=list(due)
            )
            self._committed |= {place: at.offset for place, at in told.items()}

    async def check(self, rows: Sequence[Row]) -> None:
        """Append transactions, keyed by card, else customer."""
        self.collector.expect(rows)
        for row in rows:
            value = wire.transaction_to_proto(row.transaction).SerializeToString()
            sent = await self.producer.send(
                self.topics.transactions,
                value,
                key=key_of(row.transaction),
                headers=_HEADERS,
            )
            self.repeats.sent(row.transaction.id, sent)

    async def settle(self) -> None:
        """Wait for the decisions of everything appended."""
        await self.producer.flush()
        await self.collector.until_pending(0)

    async def read(self) -> None:
        """Feed the collector from the decisions and dead letters, until cancelled."""
        while True:
            polled = await self.consumer.getmany(timeout_ms=200, max_records=2_000)
            for partition, records in polled.items():
                for record in records:
                    self._record(partition.topic, record)
            self._read_to = {
                place: await self.consumer.position(place)
                for place in self.consumer.assignment()
            }

    async def look(self) -> None:
        """Pass over the rows that were decided before, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            waiting = self.collector.waiting
            for name, reason in self.repeats.refused(waiting):
                self.collector.refuse(name, reason)
            with suppress(KafkaError):  # asked again
                for name in await self.repeats.found(waiting, self._read_to):
                    self.collector.pass_over(name)

    def _record(self, topic: str, record: Any) -> None:
        headers, value = dict(record.headers), wire.unframed(record.value)
        content_type = headers.get("content-type", wire.PROTOBUF.encode()).decode()
        if topic == self.topics.decisions:
            decision = wire.message_from_bytes(
                value, decision_pb2.Decision, content_type
            )
            self.collector.take(decision)
            return
        letter = wire.message_from_bytes(
            value, transaction_pb2.DeadLetter, content_type
        )
        reason = _said(letter.field, letter.message)
        self.repeats.letter(letter.partition, letter.offset, reason)
        with suppress(ScoringError):  # masked, or somebody else's in a live topic
            transaction = wire.message_from_bytes(
                wire.unframed(letter.value), transaction_pb2.Transaction, wire.PROTOBUF
            )
            self.collector.refuse(transaction.id, reason)


@dataclass(slots=True)
class GrpcReplayDoor:
    """Calls BatchCheckTransactions, ReportLabels and ReportEvents.

    `ordered`: one batch at a time; else a few calls are in flight together.
    """

    channel: Any
    collector: Collector
    ordered: bool
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def applied(self, until_ms: int) -> None:
        """Nothing to wait for: a reply comes after the store has them."""

    async def learn(self, follow_ups: Sequence[Reported]) -> None:
        """Report a few hundred in a call; what the reply refuses is counted."""
        labels = [one for one in follow_ups if isinstance(one, Label)]
        events = [one for one in follow_ups if isinstance(one, LifecycleEvent)]
        stub = fraud_scoring_pb2_grpc.FraudScoringStub(self.channel)
        for some in parts_of(labels):
            await self._report(stub.ReportLabels, _labels_request(some), len(some))
        for told in parts_of(events):
            await self._report(stub.ReportEvents, _events_request(told), len(told))

    async def _report(self, call: Any, request: Any, count: int) -> None:
        try:
            reply = await call(request, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            _raise_unless_late(error)
            self.collector.follow_ups_refused[_MISSED] += count
            return
        self.collector.follow_ups_refused.update(
            _said(result.error.field, result.error.message)
            for result in reply.results
            if result.HasField("error")
        )

    async def check(self, rows: Sequence[Row]) -> None:
        """Call, batch by batch."""
        self.collector.expect(rows)
        for part in parts_of(rows):
            if self.ordered:
                await self._call(part)
                continue
            while len(self._tasks) >= _CALLS_MAX:
                await self._first_done()
            self._tasks.add(asyncio.get_running_loop().create_task(self._call(part)))

    async def settle(self) -> None:
        """Wait for the calls in flight."""
        while self._tasks:
            await self._first_done()

    async def _first_done(self) -> None:
        done, self._tasks = await asyncio.wait(
            self._tasks, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()

    async def _call(self, rows: Sequence[Row]) -> None:
        stub = fraud_scoring_pb2_grpc.FraudScoringStub(self.channel)
        request = fraud_scoring_pb2.BatchCheckTransactionsRequest(
            transactions=[wire.transaction_to_proto(row.transaction) for row in rows]
        )
        try:
            response = await stub.BatchCheckTransactions(
                request, timeout=_CALL_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            _raise_unless_late(error)
            for row in rows:  # others continue; what was decided all the same stays so
                self.collector.refuse(row.transaction.id, _MISSED)
            return
        for result in response.results:
            if result.HasField("decision"):
                self.collector.take(result.decision)
            else:
                self.collector.refuse(
                    result.transaction_id,
                    _said(result.error.field, result.error.message),
                )


def _labels_request(labels: Sequence[Label]) -> Any:
    return fraud_scoring_pb2.ReportLabelsRequest(
        labels=[wire.label_to_proto(label) for label in labels]
    )


def _events_request(events: Sequence[LifecycleEvent]) -> Any:
    return fraud_scoring_pb2.ReportEventsRequest(
        events=[wire.event_to_proto(event) for event in events]
    )


def _raise_unless_late(error: grpc.aio.AioRpcError) -> None:
    if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
        raise error


def _said(field: str, message: str) -> str:
    """A refusal with its field, which only some messages name themselves.

    >>> _said("card", "holds a card number"), _said("id", "id: 'p1' was used")
    ('card: holds a card number', "id: 'p1' was used")
    """
    named = not field or message.startswith(f"{field}:")
    return message if named else f"{field}: {message}"


def parts_of(
    items: Sequence[T], *, size_max: int = _BATCH_ROWS_MAX
) -> Iterator[Sequence[T]]:
    """A sequence in parts of at most `size_max`.

    >>> list(parts_of("abcde", size_max=2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(items), size_max):
        yield items[start : start + size_max]
