"""The circuit breaker of the store: whether it is asked at all, and why not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from scoring.errors import HistoryLost, StoreUnavailable
from scoring.ports.events import Event
from scoring.ports.telemetry import Telemetry

log = logging.getLogger(__name__)
T = TypeVar("T")
# Between probes of a store that fails them.
_PROBE_INTERVAL_S = 0.1
# Between trials of one that answers probes and refuses our exchanges; each doubles.
_TRIAL_INTERVAL_S, _TRIAL_INTERVAL_S_MAX = 0.1, 2.0
# How long after it opened callers with time wait for the store: most outages are a
# blink (a busy machine, a lost connection), and of the others all know by then.
_RIDE_OUT_S = 0.25


class Exchange(Enum):
    """The kinds of exchange with the store; each can fail on its own."""

    OBSERVE = "observe"
    RECORD = "record"


class State(Enum):
    """Of a circuit breaker."""

    CLOSED = "closed"  # the store is asked
    OPEN = "open"  # nobody asks it; probes do
    HALF_OPEN = "half-open"  # it is asked, on trial


@dataclass(slots=True)
class Circuit:
    """Whether the store is asked.

    An exchange that fails opens it. A failure that probes saw as well is over when a
    probe is answered. One that they did not see (the store answers them and refuses
    our calls) is over when an exchange of the kind that failed is answered; until then
    the circuit is half-open, and a failure opens it again in silence. So there is one
    line in the log when the store fails, and one when it has recovered.
    """

    telemetry: Telemetry
    on_open: Callable[[], None] = lambda: None  # has it probed until it is asked again
    state: State = State.CLOSED
    probed_vain: bool = False
    pause_s: float = 0.0  # before the next probe
    _failed: Exchange = Exchange.OBSERVE
    _why: StoreUnavailable = field(default_factory=StoreUnavailable)
    _opened_at: float = 0.0
    _told: frozenset[str] = frozenset()  # causes in the log since it opened
    _asks_again: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def asks(self) -> bool:
        """Whether exchanges are tried."""
        return self.state is not State.OPEN

    @property
    def reason(self) -> str:
        """Why it is open, in a word; "" where the store is asked."""
        return "" if self.asks else self._why.reason

    async def guarded(self, kind: Exchange, exchange: Callable[[], Awaitable[T]]) -> T:
        """Run an exchange unless the circuit is open; take note of how it went."""
        if not self.asks:
            raise type(self._why)(str(self._why))
        try:
            given = await exchange()
        except StoreUnavailable as error:
            self.failed(kind, error)
            raise
        self.succeeded(kind)
        return given

    def failed(self, kind: Exchange, error: StoreUnavailable) -> None:
        """An exchange failed: ask no more until a probe is answered."""
        if self.state is State.OPEN:
            return
        if self.state is State.CLOSED:
            self._opened_at = asyncio.get_running_loop().time()
            self.pause_s = 0.0
            self.telemetry.count(Event.STORE_UNAVAILABLE)
        else:
            doubled = max(2 * self.pause_s, _TRIAL_INTERVAL_S)
            self.pause_s = min(doubled, _TRIAL_INTERVAL_S_MAX)
        self.state, self._failed, self.probed_vain = State.OPEN, kind, False
        self._asks_again.clear()
        self._tell(error)
        self.on_open()

    def succeeded(self, kind: Exchange) -> None:
        """An exchange was answered."""
        if self.state is State.HALF_OPEN and kind is self._failed:
            self._close("")

    def probe_failed(self, error: StoreUnavailable) -> None:
        """A probe failed as well, or what was kept could not be reconciled."""
        self.pause_s = _PROBE_INTERVAL_S
        if self.state is State.OPEN:
            self.probed_vain = True
            self._tell(error)

    def probe_answered(self, *, whole: bool, proved: bool = False) -> None:
        """A probe was answered, by the `whole` store or a part of it.

        It is `proved` where exchanges of every kind were answered along with it.
        """
        self.pause_s = self.pause_s if whole else _PROBE_INTERVAL_S
        if self.state is not State.OPEN:
            return
        if self.probed_vain or proved:
            self._close("" if whole else "; a part of it is still unavailable")
        else:
            self.state = State.HALF_OPEN
            log.info(
                "store on trial: it answers probes after %.1f s",
                self._open_s(),
                extra={"repeats": "trial", "circuit": "half-open", **self._told_by()},
            )
        self._asks_again.set()

    async def ridden_out(self, within_s: float) -> bool:
        """Whether the store is asked again within so long; False at once where the
        circuit has been open for long.
        """
        loop = asyncio.get_running_loop()
        ends = min(loop.time() + within_s, self._opened_at + _RIDE_OUT_S)
        if ends <= loop.time():
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                await self._asks_again.wait()
        return self.asks

    def _close(self, but: str) -> None:
        after_s = self._open_s()
        log.warning(
            "store recovered after %.1f s%s",
            *(after_s, but),
            extra={"circuit": "closed", **self._told_by()},
        )
        self.telemetry.count(Event.STORE_RECOVERED)
        self.state, self.pause_s, self._told = State.CLOSED, 0.0, frozenset()

    def _opened(self) -> dict[str, object]:
        return {"circuit": "open", **self._told_by()}

    def _open_s(self) -> float:
        return asyncio.get_running_loop().time() - self._opened_at

    def _told_by(self) -> dict[str, object]:
        """What each line of a transition has beside its text."""
        return {
            "cause": self._why.reason,
            "exchange": self._failed.value,
            "open_s": round(self._open_s(), 3),
        }

    def _tell(self, error: StoreUnavailable) -> None:
        """One line for each cause that is new since the circuit opened."""
        self._why = error
        lost = isinstance(error, HistoryLost)
        cause = "history lost" if lost else "unavailable"
        if cause in self._told:
            return
        self._told |= {cause}
        if lost:
            self.telemetry.count(Event.HISTORY_LOST)
            log.error("history lost: %s", error, extra=self._opened())
        else:
            log.warning(
                "store unavailable: %s; gRPC answers without history, provisionally, "
                "and the stream waits until it recovers",
                error,
                extra=self._opened(),
            )
