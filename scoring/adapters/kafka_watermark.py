"""What of an input partition is already in the output: read from the output itself.

Every record that the stream door writes names its input's offset in the header
`src` and goes to the partition of the same number. After a crash or a rebalance the
new owner reads the output's tail and writes only what is missing. Records without
the header (the gRPC door's) are passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from scoring.adapters.kafka_delivery import Poll

SOURCE_HEADER = "src"
_WINDOW_RECORDS = 1_000
# The embedded broker reports ends too low: read on until it has twice had nothing.
_PATIENCE_MS = 300
_EMPTY_READS = 2
# An output is younger than its input; clocks of writers may differ by so much.
_CLOCKS_MS = 3_600_000


@dataclass(slots=True)
class Seen:
    """What a tail holds: the inputs it answers, and the time of its oldest record."""

    sources: set[int] = field(default_factory=set)
    oldest_ms: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTail:
    """Reads the tails of output partitions.

    `ends_exact` says that the broker's end offsets can be trusted.
    """

    bootstrap: str
    options: dict[str, Any]
    fetch_wait_ms: int
    ends_exact: bool

    async def sources(
        self, topics: Sequence[str], partition: int, *, first: Any
    ) -> set[int]:
        """Offsets, from the input record `first` on, that these outputs hold."""
        held = await asyncio.gather(
            *(self._held(TopicPartition(topic, partition), first) for topic in topics)
        )
        return set().union(*held)

    async def _held(self, tp: TopicPartition, first: Any) -> set[int]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.fetch_wait_ms,
            **self.options,
        )
        await consumer.start()
        try:
            consumer.assign([tp])
            return await self._tail(consumer, tp, first)
        finally:
            await consumer.stop()

    async def _tail(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, first: Any
    ) -> set[int]:
        """Read growing tails until one reaches back before the input `first`.

        By its offset, or (where foreign writers fill the topic) by its time.
        """
        beginning = (await consumer.beginning_offsets([tp]))[tp]
        end = (await consumer.end_offsets([tp]))[tp]
        window = _WINDOW_RECORDS
        while True:
            start = max(beginning, end - window)
            consumer.seek(tp, start)
            seen = await self._read(consumer, tp, end)
            reaches_back = any(source < first.offset for source in seen.sources)
            older = seen.oldest_ms < first.timestamp - _CLOCKS_MS
            if start == beginning or reaches_back or older:
                return {source for source in seen.sources if source >= first.offset}
            window *= 8

    async def _read(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, end: int
    ) -> Seen:
        seen = Seen()
        empty = 0
        while True:
            if self.ends_exact and await consumer.position(tp) >= end:
                return seen
            records = (await consumer.getmany(tp, timeout_ms=_PATIENCE_MS)).get(tp, [])
            seen.sources.update(_sources(records))
            if records:
                seen.oldest_ms = min(seen.oldest_ms, records[0].timestamp)
            behind = await consumer.position(tp) < end
            empty = 0 if records or behind else empty + 1
            if empty == _EMPTY_READS:
                return seen


@dataclass(slots=True)
class Written:
    """Input offsets whose output exists already, as read for one assignment."""

    epoch: int
    offsets: set[int]


@dataclass(slots=True)
class Outputs:
    """What these topics hold of each input partition, read once an assignment."""

    tail: OutputTail
    topics: tuple[str, ...]
    _written: dict[Any, Written] = field(default_factory=dict)

    async def missing(self, poll: Poll) -> list[Any]:
        """The records of a poll that have no output yet."""
        known = self._written.get(poll.tp)
        if known is None or known.epoch != poll.epoch:
            offsets = await self.tail.sources(
                self.topics, poll.tp.partition, first=poll.records[0]
            )
            known = self._written[poll.tp] = Written(poll.epoch, offsets)
        elif known.offsets and poll.first > max(known.offsets):
            known.offsets.clear()
        return [r for r in poll.records if r.offset not in known.offsets]


def _sources(records: Iterable[Any]) -> Iterable[int]:
    for record in records:
        for key, value in record.headers:
            if key == SOURCE_HEADER and value.isdigit():
                yield int(value)
