"""Reads the topic `control` from its beginning, and follows it for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.startup_errors import reader
from scoring.kafka.topic_admin import TopicAdmin
from scoring.kafka.topic_incarnation import topic_ids

log = logging.getLogger(__name__)
_POLL_MS = 500
_RETRY_S = 1.0
# A topic that is deleted and made again has other records under the same offsets.
_SAME_TOPIC_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Read:
    """What one poll brought; `first` where it begins a pass from the beginning.

    `whole` once everything was read that the topic held when the pass began.
    """

    records: Sequence[Any]
    first: bool
    whole: bool


@dataclass(slots=True)
class ControlTopic:
    """The one partition of the topic, committed records only, without a group.

    `following` tells whether it is being read now. A broker that is unavailable is
    waited for; a topic that is missing or made again is read from its beginning.
    """

    bootstrap: str
    options: Mapping[str, Any]
    topic: str
    fetch_wait_ms: int = 100
    following: bool = False
    _said: str = ""

    async def reads(self) -> AsyncGenerator[Read, None]:
        """Every record, in order and for ever; never raises for Kafka."""
        while True:
            try:
                async with aclosing(self._pass()) as reads:
                    async for read in reads:
                        self.following = True
                        yield read
            except (KafkaError, LogUnavailable, BadArtifact, OSError) as error:
                self._say(str(error) or type(error).__name__)
                self.following = False
                await asyncio.sleep(_RETRY_S)

    async def _pass(self) -> AsyncGenerator[Read, None]:
        """One pass, until the topic is another one; raises what the client does."""
        async with TopicAdmin(self.bootstrap, self.options) as admin:
            found = (await admin.found([self.topic]))[self.topic]
        if not found.exists:
            raise LogUnavailable(
                f"{self.topic} is missing: `scoring topics create`; what is in force "
                "stays"
            )
        place = TopicPartition(self.topic, 0)
        async with reader(
            self.bootstrap,
            self.options,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.fetch_wait_ms,
        ) as consumer:
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            first = (await consumer.beginning_offsets([place]))[place]
            whole = first >= end
            self._said = ""
            yield Read([], first=True, whole=whole)
            loop = asyncio.get_running_loop()
            looks_at = loop.time() + _SAME_TOPIC_EVERY_S
            while True:
                polled = await consumer.getmany(place, timeout_ms=_POLL_MS)
                # A transaction marker takes an offset and is never handed out.
                if not whole and await consumer.position(place) >= end:
                    whole = True
                    yield Read(polled.get(place, []), first=False, whole=True)
                elif polled:
                    yield Read(polled[place], first=False, whole=whole)
                if loop.time() >= looks_at:
                    looks_at = loop.time() + _SAME_TOPIC_EVERY_S
                    if await self._is_another(consumer, found.id):
                        return

    async def _is_another(self, consumer: AIOKafkaConsumer, id_: str) -> bool:
        """Whether the topic was made again; False where nobody can tell."""
        try:
            now = (await topic_ids(consumer._client, [self.topic])).get(self.topic)  # noqa: SLF001
        except (KafkaError, OSError) as error:
            self.following = False
            self._say(f"no broker answers: {error or type(error).__name__}")
            return False
        self.following, self._said = True, ""
        if now and now != id_:
            log.warning("%s was made again: it is read from its beginning", self.topic)
            return True
        return False

    def _say(self, why: str) -> None:
        if why != self._said:
            self._said = why
            log.warning("releases do not come, what is in force stays: %s", why)
