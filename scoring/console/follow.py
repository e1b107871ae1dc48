"""Follows the decisions topic for the live page; scoring never waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from scoring.console.live import LiveFeed
from scoring.console.live_pages import rendered_figures
from scoring.console.pages import Pages
from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.record_values import message_in
from scoring.kafka.startup_errors import reader
from scoring.v1.decision_pb2 import Decision

log = logging.getLogger(__name__)
TICK_S = 1.0
_AGAIN_S = 1.0
_POLL_MS = 200
_POLL_RECORDS_MAX = 500


@dataclass(frozen=True, slots=True)
class FollowedDecisions:
    """The decisions topic of an installation."""

    bootstrap: str
    options: Mapping[str, Any]
    topic: str
    fetch_wait_ms: int

    async def follow(self, feed: LiveFeed) -> None:
        """Hand each decision on, for ever; an unavailable broker is asked again."""
        while True:
            try:
                await self._read(feed)
            except (LogUnavailable, BadArtifact, KafkaError, OSError) as error:
                if feed.fault != str(error):
                    log.warning("no decisions can be shown: %s", error)
                feed.fault = str(error)
            except Exception as error:
                feed.fault = f"of a fault of ours: {error!r}"
                raise
            await asyncio.sleep(_AGAIN_S)

    async def _read(self, feed: LiveFeed) -> None:
        opened = reader(
            self.bootstrap,
            self.options,
            self.topic,
            auto_offset_reset="latest",
            fetch_max_wait_ms=self.fetch_wait_ms,
        )
        async with opened as consumer:
            feed.fault = ""
            while True:
                polled = await consumer.getmany(
                    timeout_ms=_POLL_MS, max_records=_POLL_RECORDS_MAX
                )
                for record in (each for batch in polled.values() for each in batch):
                    decision = message_in(record, Decision)
                    if decision is not None:
                        feed.add(decision)


async def tick(feed: LiveFeed, pages: Pages) -> None:
    """Each second, for ever, render the figures once and let every viewer have them."""
    while True:
        await asyncio.sleep(TICK_S)
        feed.tick(rendered_figures(pages, feed))
