"""Tells the control plane what this replica runs: each second, and when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from scoring.core.release.replica import ReplicaReport
from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.startup_errors import started
from scoring.wire.control_json import report_to_json

_EVERY_S = 1.0
_RETRY_S = 5.0
_ACKNOWLEDGED_S = 5.0
_LAST_S = 1.0


@dataclass(frozen=True, slots=True)
class Reporter:
    """Appends reports to a topic, through a producer of its own.

    Nothing waits for it, and a report that does not arrive is not sent again: the next
    one says more.
    """

    bootstrap: str
    options: Mapping[str, Any]
    topic: str
    report: Callable[[], ReplicaReport]
    changed: asyncio.Event

    async def run(self) -> None:
        """Report until cancelled; never raises for Kafka."""
        while True:
            try:
                await self._reporting()
            except (KafkaError, LogUnavailable, BadArtifact, OSError):
                await asyncio.sleep(_RETRY_S)

    async def _reporting(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks=1, **self.options
        )
        await started(producer, self.bootstrap)
        try:
            while True:
                self.changed.clear()
                told = self.report()
                async with asyncio.timeout(_ACKNOWLEDGED_S):
                    await self._send(producer, told)
                await self._until_due()
        except asyncio.CancelledError:
            # Whoever ends as it should is not missed.
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_LAST_S):
                    await self._send(producer, replace(self.report(), ended=True))
            raise
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, told: ReplicaReport) -> None:
        await producer.send_and_wait(
            self.topic, report_to_json(told), key=told.replica.encode()
        )

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(_EVERY_S):
                await self.changed.wait()
        except TimeoutError:
            return
