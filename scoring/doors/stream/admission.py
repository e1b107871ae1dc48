"""What the work on every input topic does alike: admit or refuse, outlast the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from scoring.doors.stream.poll_consumer import Poll
from scoring.doors.stream.stall_detector import Progress
from scoring.errors import HistoryLost, ScoringError, StoreUnavailable
from scoring.ports.events import Event
from scoring.ports.telemetry import Telemetry

log = logging.getLogger(__name__)
_STORE_RETRY_S = 0.2
# Beyond it nothing went forward: the worker counts as stalled, and begins anew.
_LOG_PATIENCE_S = 900.0
_LOG_LOOK_S = 0.5
T = TypeVar("T")


class Revoked(Exception):
    """The poll's partition was revoked: whoever has it now finishes the work."""


def admitted(
    records: Iterable[Any], admit: Callable[[Any], T]
) -> list[tuple[Any, T | ScoringError]]:
    """Each record with what it was admitted as, or with why it was refused.

    >>> admitted(["7"], int)
    [('7', 7)]
    """

    def one(record: Any) -> T | ScoringError:
        try:
            return admit(record)
        except ScoringError as error:
            return error

    return [(record, one(record)) for record in records]


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits for an unavailable store; waiting is no stall, and degrades nothing."""

    telemetry: Telemetry
    progress: Progress

    async def acknowledged(self, poll: Poll, append: Awaitable[None]) -> None:
        """Wait for the log; raises what `append` does.

        An unavailable log is waited for, and that is no stall. Raises `Revoked` where
        the poll was given up meanwhile: what has not left is taken back.
        """
        appending = asyncio.ensure_future(append)
        gives_up_at = asyncio.get_running_loop().time() + _LOG_PATIENCE_S
        try:
            while not (await asyncio.wait((appending,), timeout=_LOG_LOOK_S))[0]:
                if poll.abandoned:
                    raise Revoked
                if asyncio.get_running_loop().time() < gives_up_at:
                    self.progress.forward()
        finally:
            appending.cancel()
        appending.result()

    async def outlast(self, poll: Poll, exchange: Callable[[], Awaitable[T]]) -> T:
        """What the exchange with the store gives, as soon as the store answers.

        Raises `Revoked` where the poll was revoked before it was done.
        """
        waited = False
        while not poll.revoked:
            try:
                given = await exchange()
            except StoreUnavailable as error:
                if not waited:
                    log.warning("the stream waits, nothing is degraded: %s", error)
                    self.telemetry.count(Event.STREAM_WAITED)
                    if isinstance(error, HistoryLost):  # labels alone may tell
                        self.telemetry.count(Event.HISTORY_LOST)
                waited = True
                self.progress.forward()
                await asyncio.sleep(_STORE_RETRY_S)
                continue
            if not poll.revoked:
                return given
        raise Revoked
