"""Relays the outbox to the topic `control`: in order, by one copy at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from scoring.control.control_topic import Fenced, RelayTopic
from scoring.control.database.outbox import OutboxRecord
from scoring.control.domain.topic_held import TopicHeld
from scoring.control.lease import Lease
from scoring.errors import BadArtifact, DatabaseUnavailable, LogUnavailable

log = logging.getLogger(__name__)
POLL_S = 0.2  # what another process commits is seen this late
_PAUSE_S = 0.5
_PAUSE_S_MAX = 5.0
_HOLD_S = 1.0  # the lease is looked at so often while the topic is read
# Of one transaction of Kafka's, 32 MB at most: chunks of lists are half a megabyte.
_RECORDS_MAX = 64


class OutboxRows(Protocol):
    """The outbox in the database; calls block, and raise `DatabaseUnavailable`."""

    def unpublished(self, *, count_max: int) -> list[OutboxRecord]:
        """The oldest records that are not published, in order."""
        ...

    def published(self, sequences: Sequence[int], *, at_ms: int) -> None:
        """Note that these are in the topic."""
        ...


@dataclass(slots=True)
class Relay:
    """Moves what is committed to the topic, until it is cancelled.

    A record is marked once it is acknowledged: killed in between, the next relay sends
    the same bytes with the same sequence again, which a reader passes over. `agree`
    brings the database to agree with what the topic holds at a time, before anything
    is sent; it blocks. `fault` says why nothing moves; empty where nothing is wrong.
    """

    rows: OutboxRows
    topic: RelayTopic
    lease: Lease
    now_ms: Callable[[], int]
    agree: Callable[[TopicHeld, int], None]
    what: str = "releases"
    fault: str = ""
    relays: bool = False
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _last: int = 0  # sequence that was sent since it began

    def wake(self) -> None:
        """Look at the outbox now; to be called in the loop's thread."""
        self._woken.set()

    async def run(self) -> None:
        """Relay until cancelled; then let another copy have the lease."""
        pause_s = _PAUSE_S
        try:
            while True:
                try:
                    await self._turn()
                except (DatabaseUnavailable, LogUnavailable, BadArtifact) as error:
                    await self._stopped(str(error))
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _PAUSE_S_MAX)
                except Exception as error:
                    self.fault = f"of a fault of ours: {error!r}"
                    raise
                else:
                    pause_s = _PAUSE_S
        finally:
            await self._leave()

    async def _turn(self) -> None:
        """Send what waits; where nothing does, wait until something may."""
        self._woken.clear()
        if not await asyncio.to_thread(self.lease.hold):
            await self._rest()
        elif not self.relays:
            await self._begin()
        elif not await self._sent():
            self._well()
            await self._wait()

    async def _begin(self) -> None:
        held = await self._while_held(self.topic.begin())
        if held is None:
            return
        await asyncio.to_thread(self.agree, held, self.now_ms())
        self.relays, self._last = True, 0
        log.info("this copy relays %s now", self.what)

    async def _while_held(
        self, beginning: Coroutine[Any, Any, TopicHeld]
    ) -> TopicHeld | None:
        """Read the topic, and keep the lease meanwhile; None where it was lost."""
        reading = asyncio.ensure_future(beginning)
        try:
            while not (await asyncio.wait({reading}, timeout=_HOLD_S))[0]:
                if not await asyncio.to_thread(self.lease.hold):
                    return None
            return await reading if self.lease.held else None
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _sent(self) -> int:
        waiting = await asyncio.to_thread(self.rows.unpublished, count_max=_RECORDS_MAX)
        if not waiting or not self.lease.held:
            return 0
        if waiting[0].sequence <= self._last:
            # The database went back while this relay ran: a copy of it has taken over.
            raise LogUnavailable("the database is older than what was relayed")
        try:
            await self.topic.append(waiting)
        except Fenced:
            log.warning("another copy relays %s; this one has stopped", self.what)
            self.relays = False
            return 0
        done = [record.sequence for record in waiting]
        self._last = done[-1]
        await asyncio.to_thread(self.rows.published, done, at_ms=self.now_ms())
        return len(done)

    def _well(self) -> None:
        if self.fault:
            log.warning("%s are relayed again", self.what)
        self.fault = ""

    async def _stopped(self, why: str) -> None:
        if not self.fault:
            log.warning("%s wait: %s", self.what, why)
        self.fault = why
        self.relays = False
        await self.topic.end()

    async def _rest(self) -> None:
        """Another copy has the lease."""
        if self.relays:
            log.warning("this copy has lost the lease; another relays")
            self.relays = False
            await self.topic.end()
        self._well()
        await self._wait()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._woken.wait()

    async def _leave(self) -> None:
        self.relays = False
        await self.topic.end()
        with suppress(DatabaseUnavailable):
            await asyncio.to_thread(self.lease.let_go)
