"""The producer in use: one that failed is let go, and another is made in its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownError

from scoring.kafka.startup_errors import started
from scoring.ports.events import Event

log = logging.getLogger(__name__)
_BATCH_BYTES_MAX = 262_144
# An idempotent producer tries again until the broker answers, and the broker knows a
# repeat by its number: as long as it tries nothing is appended twice. By itself the
# client gives a batch up after one request's time where its partition has no leader,
# as in every restart of a broker, and then nobody knows whether it is there. Only what
# has had no leader for so long is given up.
_GIVEN_UP_S = 900.0
_RETRY_S, _RETRY_S_MAX = 0.1, 5.0
_STOP_S = 2.0
_SAID_AGAIN_S = 60.0


@dataclass(slots=True)
class Trouble:
    """Says once that the log does not take records, and why, and when it does again.

    `places` are the partitions that wait, each with its reason; a reason is said at
    most once a minute.
    """

    count: Callable[[Event], None]
    places: dict[str, str] = field(default_factory=dict)
    _said_at: dict[str, float] = field(default_factory=dict)

    def met(self, place: str, reason: str) -> None:
        """Records for this place wait."""
        if not self.places:
            self.count(Event.LOG_UNAVAILABLE)
        self.places[place] = reason
        now = asyncio.get_running_loop().time()
        if now - self._said_at.get(reason, -_SAID_AGAIN_S) >= _SAID_AGAIN_S:
            self._said_at[reason] = now
            log.warning("log unavailable: %s; records for %s wait", reason, place)

    def over(self, place: str) -> None:
        """This place takes records again."""
        if self.places.pop(place, None) is not None and not self.places:
            self._said_at.clear()
            self.count(Event.LOG_RECOVERED)
            log.warning("log recovered: waiting records are appended")


@dataclass(slots=True)
class Producers:
    """One producer at a time, made anew as soon as the broker answers.

    `idempotent` until a broker says that it has no such producer, as the embedded
    one does: its retries may append twice.
    """

    bootstrap: str
    options: dict[str, Any]
    request_timeout_s: float
    trouble: Trouble
    idempotent: bool = True
    _current: AIOKafkaProducer | None = None
    _making: asyncio.Task[None] | None = None
    _leaving: dict[asyncio.Task[None], Any] = field(default_factory=dict)

    async def begin(self) -> None:
        """Make the first one; raises `LogUnavailable`."""
        try:
            self._current = await self._made()
        except UnknownError:
            log.info("this broker has no idempotent producer: retries may repeat")
            self.idempotent = False
            self._current = await self._made()

    @property
    def at_hand(self) -> AIOKafkaProducer | None:
        """The one in use, if there is one just now."""
        return self._current

    async def current(self) -> AIOKafkaProducer:
        """The one in use, as soon as there is one."""
        while self._current is None:
            if self._making is None or self._making.done():
                self._making = asyncio.get_running_loop().create_task(self._make())
            await asyncio.shield(self._making)
        return self._current

    async def _make(self) -> None:
        rest_s = _RETRY_S
        while True:
            try:
                self._current = await self._made()
            except Exception as error:  # noqa: BLE001 - whatever the client raises
                self.trouble.met("a new producer", str(error) or repr(error))
                await asyncio.sleep(rest_s)
                rest_s = min(2 * rest_s, _RETRY_S_MAX)
            else:
                self.trouble.over("a new producer")
                return

    async def _made(self) -> AIOKafkaProducer:
        producer: Any = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=self.idempotent,
            max_batch_size=_BATCH_BYTES_MAX,
            request_timeout_ms=int(self.request_timeout_s * 1_000),
            **self.options,
        )
        if self.idempotent:
            producer._message_accumulator._batch_ttl = _GIVEN_UP_S  # noqa: SLF001
        return await started(producer, self.bootstrap)

    def let_go(self, producer: AIOKafkaProducer) -> None:
        """Use it no more: a batch that failed left a gap in its numbers.

        What other partitions have on their way with it still arrives.
        """
        if producer is self._current:
            self._current = None
            task = asyncio.get_running_loop().create_task(_flushed(producer))
            self._leaving[task] = producer
            task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.debug("a producer that was let go: %r", task.exception())

    async def close(self) -> None:
        """Disconnect, whether or not a broker answers."""
        tasks, left = [*self._leaving], [*self._leaving.values()]
        if self._making is not None:
            tasks.append(self._making)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*map(_cut_off, left))
        if self._current is not None:
            await _stopped(self._current)


async def _stopped(producer: AIOKafkaProducer) -> None:
    """Stop it; where no broker answers it would wait for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await producer.stop()
            return
    await _cut_off(producer)


async def _cut_off(producer: AIOKafkaProducer) -> None:
    producer._sender.sender_task.cancel()  # noqa: SLF001 - its own way out waits, too
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await producer.client.close()


async def _flushed(producer: Any) -> None:
    await producer.stop()
