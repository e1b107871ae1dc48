"""Faust, fed with whole polls: one event carries all records of one partition's poll.

Faust's cost is per event, so this is what makes it as fast as the client beneath it.
Group membership, rebalance, commits and lifecycle stay Faust's. Nearly every name
overridden here is private in faust-streaming 0.15.3: the version is pinned, and
tests/integration/test_stream_delivery.py holds each of them.
"""
# Faust is not typed for strict mode: its classes are Any.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import faust
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP, ConsumerMessage

from scoring.doors.stream.fetch_thread import Ends, PollThread

# Not this module's name: Faust silences the loggers of modules with its services.
log = logging.getLogger("scoring.doors.stream.polls")
# Of the session timeout: a member that settles longer is thrown out of the group.
_SETTLE_SHARE = 0.6


@dataclass(slots=True, eq=False)
class Poll:
    """All records that one poll returned for one partition, in order.

    Progress is `finished`, never Faust's own acknowledgement, which it also gives
    to what it skips. A revoked poll counts for nothing: its records are delivered
    again, here or to another member, and one that did not settle in time is
    `abandoned`. `idle` is set while nobody works on it;
    `epoch` counts the assignments and seeks of this consumer.
    """

    tp: TP
    records: list[Any]
    epoch: int = 0
    finished: bool = False
    revoked: bool = False
    abandoned: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.idle.set()

    @property
    def first(self) -> int:
        """Offset of the first record."""
        return int(self.records[0].offset)

    @property
    def last(self) -> int:
        """Offset of the last record."""
        return int(self.records[-1].offset)


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition: the offset of the first record not judged, and its ends."""

    tp: TP
    judged: int
    ends: Ends

    @property
    def lag(self) -> int:
        """Offsets that can be read and are not judged."""
        return max(0, self.ends.readable - self.judged)

    @property
    def held_back(self) -> int:
        """Offsets behind a transaction that its producer has not ended."""
        return self.ends.appended - self.ends.readable


class WholePolls(DefaultSchedulingStrategy):
    """Yields (partition, [all its records]) instead of one record at a time."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """One item a partition that has records."""
        return ((tp, batch) for tp, batch in records.items() if batch)


class PollConsumer(Consumer):
    """Delivers whole polls and commits what is finished, in order."""

    app: PollApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scheduler = WholePolls()
        self._pending: defaultdict[TP, deque[Poll]] = defaultdict(deque)
        self._handed: dict[TP, int] = {}  # first offsets, fetched and not yet a poll
        self._reached: dict[TP, int] = {}  # behind all that was handed out
        self._came_to: dict[TP, int] = {}  # behind the last poll
        self._epoch = 0
        self.app.polls = self

    def _new_consumer_thread(self) -> PollThread:
        return PollThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's own
    ) -> Mapping[TP, list[Any]]:
        epoch = self._epoch
        fetched = await super()._getmany(active_partitions, timeout)
        self._handed |= {tp: found[0].offset for tp, found in fetched.records.items()}
        if epoch == self._epoch:  # else it was reached before we were sent elsewhere
            self._reached |= fetched.reached
        records: Mapping[TP, list[Any]] = fetched.records
        return records

    def _to_message(self, tp: TP, record: list[Any]) -> ConsumerMessage:
        if record[0].offset < self._came_to.get(tp, 0):
            self._epoch += 1  # the log was truncated or made again
        self._came_to[tp] = record[-1].offset + 1
        # Faust drops what lies below the last it delivered: it would be lost.
        self._read_offset[tp] = None
        poll = Poll(tp, record, self._epoch)
        self._handed.pop(tp, None)
        self._pending[tp].append(poll)
        last = record[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            poll.last,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            poll,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (
            tp
            for tp in {**self._pending, **self._reached}
            if topics is None or tp in topics or tp.topic in topics
        )

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit: behind the last poll finished without a gap before.

        And behind what follows it and is never handed out: a transaction's marker
        would look like a record that waits, to whoever watches the group.
        """
        pending, offset = self._pending[tp], None
        while pending and pending[0].finished:
            offset = pending.popleft().last + 1
        if not pending and tp not in self._handed:
            offset = self._reached.pop(tp, offset)
        # Faust's own lists of acknowledged offsets would grow for ever.
        self._acked.pop(tp, None)
        self._acked_index.pop(tp, None)
        return offset

    def _should_commit(self, tp: TP, offset: int) -> bool:
        """Also lower than before: what took the place of a truncated end is new."""
        return bool(offset != self._committed_offset[tp])

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: to Faust every poll of more than one record looks like a gap."""

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: Faust would sleep a second once every partition is "full".

        The conductor still waits for room in the agent's queue.
        """

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Settle and commit before the hand-over; stock Faust commits nothing."""
        await self.settle()
        await super().on_partitions_revoked(revoked)

    async def settle(self) -> None:
        """Stop delivery, let running polls end (bounded), commit, forget the rest."""
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        self._revoke_all()
        bound_s = self.app.conf.broker_session_timeout * _SETTLE_SHARE
        try:
            async with asyncio.timeout(bound_s):
                for poll in list(self._polls()):
                    await poll.idle.wait()
        except TimeoutError:
            log.warning("a poll did not settle within %.1f s", bound_s)
            for poll in self._polls():
                poll.abandoned = not poll.idle.is_set()
        await self.commit()
        self._forget()

    def lags(self) -> list[PartitionLag]:
        """How far each of our partitions is judged, and how far it can be."""
        try:
            assigned = self.assignment()
        except ConsumerNotStarted:
            return []
        ends = {tp: self._thread.ends(tp) for tp in assigned}
        return [
            PartitionLag(tp, self._judged(tp, known.readable), known)
            for tp, known in ends.items()
            if known is not None
        ]

    def _judged(self, tp: TP, readable: int) -> int:
        """Behind the last record that is judged or passed over."""
        for poll in self._pending.get(tp, ()):
            if not poll.finished:
                return poll.first
        if tp in self._handed:
            return self._handed[tp]
        reached = self._thread.reached(tp)
        return readable if reached is None else reached

    def partitions(self, topic: str) -> tuple[int, int | None]:
        """How many of a topic's partitions are ours, and how many it has.

        None where the brokers have not said.
        """
        try:
            ours = sum(tp.topic == topic for tp in self.assignment())
            return ours, self._thread.partitions_count(topic)
        except ConsumerNotStarted:
            return 0, None

    def missing(self, topics: Iterable[str]) -> list[str]:
        """Which of these topics the brokers do not have."""
        try:
            return list(self._thread.missing(topics))
        except ConsumerNotStarted:
            return []

    def unavailable(self) -> bool:
        """Whether no broker answers."""
        return bool(self._thread.unavailable())

    def ask_again(self) -> None:
        """Ask the brokers for their topics now: one may have been made again."""
        self._thread.ask_again()

    def _polls(self) -> Iterator[Poll]:
        return (poll for pending in self._pending.values() for poll in pending)

    def _revoke_all(self) -> None:
        self._epoch += 1
        for poll in self._polls():
            poll.revoked = not poll.finished

    def _forget(self) -> None:
        for kept in (self._pending, self._handed, self._reached, self._came_to):
            kept.clear()

    async def perform_seek(self) -> None:
        """Go back to what is committed: everything else is delivered again.

        Where nothing is committed yet (or 0 is) the client would stay where it has
        read to, and what was read before the flow resumed would be lost: go to the
        start.
        """
        self._revoke_all()
        self._forget()
        await super().perform_seek()
        # Not by what we remember: commits expire, and an operator may reset them.
        fresh = [tp for tp in self.assignment() if not self._read_offset.get(tp)]
        if fresh:
            for tp, offset in (await self.earliest_offsets(*fresh)).items():
                await super().seek(tp, offset)

    async def seek(self, partition: TP, offset: int) -> None:
        """Move one partition; what is on its way counts for nothing."""
        self._epoch += 1
        for poll in self._pending.pop(partition, ()):
            poll.revoked = not poll.finished
        for kept in (self._handed, self._reached, self._came_to):
            kept.pop(partition, None)
        await super().seek(partition, offset)


class PollTransport(Transport):
    """Kafka by aiokafka, with the consumer above."""

    Consumer = PollConsumer


class PollApp(faust.App):
    """A Faust app whose agents get a `Poll` as every event's value."""

    fetch_wait_ms: int = 100
    topic_ids: Mapping[str, str] = MappingProxyType({})
    polls: PollConsumer | None = None

    def _new_transport(self) -> PollTransport:
        return PollTransport(self.conf.broker_consumer, self)
