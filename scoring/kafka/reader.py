"""Reads whole topics of the log, from an offset to where they ended when asked."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import TopicPartition

from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.record_values import message_in
from scoring.kafka.startup_errors import appended_ends, reader
from scoring.kafka.topic_admin import TopicAdmin
from scoring.v1.decision_pb2 import Decision

log = logging.getLogger(__name__)
_POLL_MS = 500
_POLL_RECORDS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Extent:
    """What one partition holds: its first offset, and the one after its last."""

    first: int
    end: int


@dataclass(slots=True)
class LogReader:
    """One broker's topics, read without a group; use as an async context."""

    bootstrap: str
    options: Mapping[str, Any]
    fetch_wait_ms: int = 100
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    _consumer: Any = None

    async def __aenter__(self) -> Self:
        """Connect; raises `LogUnavailable`."""
        opened = reader(
            self.bootstrap,
            self.options,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.fetch_wait_ms,
        )
        self._consumer = await self._opened.enter_async_context(opened)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._opened.aclose()

    async def extents(self, topic: str) -> dict[int, Extent]:
        """What each partition holds now; raises `BadArtifact` for no such topic.

        What lies behind a transaction that is not over is not held yet, and said.
        """
        async with TopicAdmin(self.bootstrap, self.options) as admin:
            count = (await admin.found([topic]))[topic].partitions
        if not count:
            raise BadArtifact(f"{topic}: there is no such topic at {self.bootstrap}")
        places = [TopicPartition(topic, p) for p in range(count)]
        first = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        for place, appended in (await appended_ends(self._consumer, places)).items():
            if appended > ends[place]:
                log.warning(
                    "%s/%d: %d records wait behind a transaction of their producer's "
                    "that was opened at offset %d: not read now; run again once it is "
                    "over",
                    *(topic, place.partition, appended - ends[place], ends[place]),
                )
        return {p.partition: Extent(first[p], ends[p]) for p in places}

    async def topic_id(self, topic: str) -> str:
        """Which incarnation of the topic it is; empty where the broker tells none."""
        async with TopicAdmin(self.bootstrap, self.options) as admin:
            return (await admin.ids([topic])).get(topic, "")

    async def records(
        self, topic: str, spans: Mapping[int, Extent]
    ) -> AsyncGenerator[tuple[int, list[Any]], None]:
        """Every record of the spans, as (partition, records in order of offsets).

        What was appended in the meantime may come along at the end of a span: a
        broker may report an end that lies within its last batch. Raises
        `LogUnavailable` where the topic is deleted meanwhile.
        """
        open_ = {TopicPartition(topic, p): s for p, s in spans.items()}
        open_ = {place: s for place, s in open_.items() if s.first < s.end}
        if not open_:
            return
        self._consumer.assign(list(open_))
        for place, span in open_.items():
            self._consumer.seek(place, span.first)
        while open_:
            polled = await self._consumer.getmany(
                *open_, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS_MAX
            )
            for place, records in polled.items():
                yield place.partition, records
            if not polled and not self._consumer.partitions_for_topic(topic):
                raise LogUnavailable(f"{topic} was deleted while it was read")
            # A transaction marker takes an offset and is never handed out.
            for place in list(open_):
                if await self._consumer.position(place) >= open_[place].end:
                    del open_[place]


async def holds_history(
    bootstrap: str, topic: str, *, options: Mapping[str, Any]
) -> bool:
    """Whether a topic holds what a store must have known; raises `LogUnavailable`.

    Provisional answers alone are none: they were given while no store was there, and
    whoever gave them keeps them for it.
    """
    async with LogReader(bootstrap, options) as reader:
        try:
            extents = await reader.extents(topic)
        except BadArtifact:
            return False
        async for _, records in reader.records(topic, extents):
            if not all(_is_provisional(record) for record in records):
                return True
        return False


def _is_provisional(record: Any) -> bool:
    decision = message_in(record, Decision)
    return decision is not None and decision.core.provisional
