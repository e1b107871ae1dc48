"""What of an input partition is already in the output: read from the output itself.

Every record that the stream door writes names its input's offset in the header
`src` and goes to the partition of the same number. After a crash or a rebalance the
new owner reads the output's tail and writes only what is missing. Records without
the header (the gRPC door's) are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from scoring.adapters.kafka_delivery import Poll

SOURCE_HEADER = "src"
_WINDOW_RECORDS = 1_000
# The embedded broker reports ends too low: read on until it has twice had nothing.
_PATIENCE_MS = 300
_EMPTY_READS = 2


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
        self, topics: Sequence[str], partition: int, *, at_least: int
    ) -> set[int]:
        """Input offsets from `at_least` on that these outputs already hold."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.fetch_wait_ms,
            **self.options,
        )
        await consumer.start()
        try:
            found: set[int] = set()
            for topic in topics:
                tp = TopicPartition(topic, partition)
                consumer.assign([tp])
                found |= await self._tail(consumer, tp, at_least)
            return found
        finally:
            await consumer.stop()

    async def _tail(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, at_least: int
    ) -> set[int]:
        """Read growing tails until one reaches back before `at_least`."""
        beginning = (await consumer.beginning_offsets([tp]))[tp]
        end = (await consumer.end_offsets([tp]))[tp]
        window = _WINDOW_RECORDS
        while True:
            start = max(beginning, end - window)
            consumer.seek(tp, start)
            sources = await self._read(consumer, tp, end)
            reaches_back = any(source < at_least for source in sources)
            if start == beginning or reaches_back:
                return {source for source in sources if source >= at_least}
            window *= 8

    async def _read(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, end: int
    ) -> set[int]:
        sources: set[int] = set()
        empty = 0
        while True:
            if self.ends_exact and await consumer.position(tp) >= end:
                return sources
            records = (await consumer.getmany(tp, timeout_ms=_PATIENCE_MS)).get(tp, [])
            sources.update(_sources(records))
            behind = await consumer.position(tp) < end
            empty = 0 if records or behind else empty + 1
            if empty == _EMPTY_READS:
                return sources


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
                self.topics, poll.tp.partition, at_least=poll.first
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
