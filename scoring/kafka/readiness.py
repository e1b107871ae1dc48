"""Waits for a broker, and for the topics to be there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.topic_admin import TopicAdmin
from scoring.kafka.topic_layout import TopicDescription, broken_layout
from scoring.kafka.topic_names import Topics

log = logging.getLogger(__name__)
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class TopicsAwaited:
    """Looks for the topics every second; `waits` gets what is missing.

    `contact` is the log's own: without it there is nothing to write to.
    """

    bootstrap: str
    options: Mapping[str, Any]
    topics: Topics
    contact: Callable[[], Awaitable[None]]
    waits: Callable[[str], None]

    async def found(
        self, stop: asyncio.Future[object], *, still: Callable[[], object]
    ) -> dict[str, TopicDescription]:
        """The topics as they are; empty where `stop` was done before they were there.

        `still` is called while it waits, each second. Raises `BadArtifact` for topics
        on which a guarantee cannot hold.
        """
        said = ""
        while not stop.done():
            asking = asyncio.ensure_future(self._found())
            while not (asking.done() or stop.done()):
                still()
                first = asyncio.FIRST_COMPLETED
                await asyncio.wait((asking, stop), timeout=_LOOK_S, return_when=first)
            if not asking.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                break
            found, missing = asking.result()
            if not missing:
                return found
            if missing != said:
                log.warning("the stream waits: %s", missing)
            said = missing
            self.waits(missing)
            await asyncio.wait((stop,), timeout=_LOOK_S)
        return {}

    async def _found(self) -> tuple[dict[str, TopicDescription], str]:
        """The topics, and what is missing of them; raises `BadArtifact`."""
        try:
            async with TopicAdmin(self.bootstrap, self.options) as admin:
                found = await admin.found(self.topics.all)
            await self.contact()
        except (LogUnavailable, KafkaError, OSError) as error:
            return {}, str(error) or repr(error)
        broken = "; ".join(broken_layout(self.topics, found))
        if broken and all(found[topic].exists for topic in self.topics.all):
            raise BadArtifact(broken)
        return found, broken
