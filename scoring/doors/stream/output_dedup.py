"""What of an input partition is already in the output: read from the output itself.

Every record that the stream door writes names its input's offset and carries a
fingerprint of it, and goes to the partition of the same number. After a crash or a
rebalance the new owner reads the output's tail and writes only what is missing: what
counts is the fingerprint, never the offset alone, for a topic may have been made
again. Records without the header (the gRPC door's) are passed over.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from scoring.doors.stream.input_fingerprint import (
    answered,
    fingerprint,
    in_place,
    named,
)
from scoring.doors.stream.poll_consumer import Poll
from scoring.kafka.startup_errors import reader

_WINDOW_RECORDS = 1_000
# The embedded broker reports ends too low: read on until it has twice answered that
# there is nothing more. A silence is no answer, and nothing waits for one to end.
_LOOK_MS = 20
_EMPTY_ANSWERS = 2
# An output is younger than its input; clocks of writers may differ by so much, and
# those of producers, where a topic keeps theirs, by a day more.
_CLOCKS_MS = 3_600_000
_PRODUCERS_MS = 86_400_000
_BY_BROKER = 1  # a record's timestamp_type


class Held:
    """What outputs hold: 8 bytes an input, however far back a group is reset."""

    def __init__(self, found: Iterable[Seen] = ()) -> None:
        tails = list(found)
        # Of a decision the fingerprint is enough; a letter answers one offset.
        self._prints = np.unique(
            np.concatenate(
                [np.empty(0, np.uint64)]
                + [np.frombuffer(seen.prints, np.uint64) for seen in tails]
            )
        )
        self._named = {k: v for seen in tails for k, v in seen.named.items()}
        self.until = max((seen.until for seen in tails), default=-1)

    def __len__(self) -> int:
        return len(self._prints) + len(self._named)

    def lacks(self, record: Any, id_of: Callable[[Any], bytes | None]) -> bool:
        """Whether no output answers this very record."""
        if len(self._prints):
            if self._has(fingerprint(record)):
                return False
            letter = fingerprint(record, of_letter=True)
            if self._has(in_place(letter, record.offset)):
                return False
        # An earlier release left no fingerprint, but its transaction's id.
        name = self._named.get(record.offset)
        return name is None or name != id_of(record)

    def _has(self, print_: int) -> bool:
        place = int(np.searchsorted(self._prints, np.uint64(print_)))
        return place < len(self._prints) and int(self._prints[place]) == print_


@dataclass(slots=True)
class Seen:
    """What a tail holds: the inputs it answers, and the time of its oldest record.

    `placed` says that an output answers its offset alone: two equal inputs have two
    letters, but one decision.
    """

    placed: bool
    prints: array[int] = field(default_factory=lambda: array("Q"))
    named: dict[int, bytes] = field(default_factory=dict)
    oldest_ms: float = inf
    first: int | None = None
    until: int = -1

    def add(self, records: Sequence[Any]) -> None:
        """Take what these outputs say."""
        if records:
            self.oldest_ms = min(self.oldest_ms, records[0].timestamp)
        for record in records:
            offset, print_ = answered(record.headers)
            if offset >= 0:
                self.first = offset if self.first is None else min(self.first, offset)
                self.until = max(self.until, offset)
                self._take(offset, print_, record)

    def _take(self, offset: int, print_: int | None, record: Any) -> None:
        if print_ is not None:
            self.prints.append(in_place(print_, offset) if self.placed else print_)
        elif name := named(record.headers):
            self.named[offset] = name


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTail:
    """Reads the tails of output partitions.

    `ends_exact` says that the broker's end offsets can be trusted; `forward` is
    called as it proceeds, for a group that is reset reads far.
    """

    bootstrap: str
    options: dict[str, Any]
    fetch_wait_ms: int
    ends_exact: bool
    forward: Callable[[], None] = lambda: None

    async def held(self, topics: Outlets, partition: int, *, first: Any) -> Held:
        """What these outputs hold of the inputs from the record `first` on."""
        return Held(
            await asyncio.gather(
                *(
                    self._seen(TopicPartition(topic, partition), first, placed=placed)
                    for topic, placed in topics
                )
            )
        )

    async def _seen(self, tp: TopicPartition, first: Any, *, placed: bool) -> Seen:
        async with reader(
            self.bootstrap,
            self.options,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.fetch_wait_ms,
        ) as consumer:
            consumer.assign([tp])
            return await self._tail(consumer, tp, first, placed=placed)

    async def _tail(
        self,
        consumer: AIOKafkaConsumer,
        tp: TopicPartition,
        first: Any,
        *,
        placed: bool,
    ) -> Seen:
        """Read growing tails until one reaches back before the input `first`.

        By its offset, or (where foreign writers fill the topic) by its time.
        """
        beginning = (await consumer.beginning_offsets([tp]))[tp]
        end = (await consumer.end_offsets([tp]))[tp]
        window = _WINDOW_RECORDS
        while True:
            start = max(beginning, end - window)
            consumer.seek(tp, start)
            seen = Seen(placed)
            await self._read(consumer, tp, end, seen)
            reaches_back = seen.first is not None and seen.first < first.offset
            if start == beginning or reaches_back or seen.oldest_ms < _before(first):
                return seen
            window *= 8

    async def _read(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, end: int, seen: Seen
    ) -> None:
        empty = 0
        while True:
            if self.ends_exact and await consumer.position(tp) >= end:
                return
            answered_at = consumer.last_poll_timestamp(tp)
            records = (await consumer.getmany(tp, timeout_ms=_LOOK_MS)).get(tp, [])
            seen.add(records)
            self.forward()
            if records or await consumer.position(tp) < end:
                empty = 0
            elif consumer.last_poll_timestamp(tp) != answered_at:
                empty += 1
            if empty == _EMPTY_ANSWERS:
                return


# Topics with whether an output there answers its offset alone.
Outlets = Sequence[tuple[str, bool]]


def _before(first: Any) -> float:
    """The time before which no output of an input can have been written."""
    if getattr(first, "timestamp_type", None) == _BY_BROKER:
        return float(first.timestamp - _CLOCKS_MS)
    return float(first.timestamp - _CLOCKS_MS - _PRODUCERS_MS)


@dataclass(slots=True)
class Outputs:
    """What these topics hold of each input partition, read once an assignment.

    `id_of` reads the id of the transaction in an input.
    """

    tail: OutputTail
    topics: Outlets
    id_of: Callable[[Any], bytes | None] = lambda _: None
    _held: dict[Any, tuple[int, Held]] = field(default_factory=dict)

    async def missing(self, poll: Poll) -> list[Any]:
        """The records of a poll that have no output yet."""
        epoch, held = self._held.get(poll.tp, (None, Held()))
        if epoch != poll.epoch:
            held = await self.tail.held(
                self.topics, poll.tp.partition, first=poll.records[0]
            )
            self._held[poll.tp] = poll.epoch, held
        if not len(held):
            return poll.records
        missing = [r for r in poll.records if held.lacks(r, self.id_of)]
        if poll.first > held.until and len(missing) == len(poll.records):
            self._held[poll.tp] = poll.epoch, Held()  # the stream has come past it
        return missing
