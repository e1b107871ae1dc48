"""Whether the stream goes forward, and how long a transaction takes through it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import nan
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from scoring.ports.metrics import stream
from scoring.telemetry.families import gauge_of

_MS_PER_S = 1_000
# Faust, aiokafka and brokers have stalled silently before; a rebalance, a long poll
# and a slow batch all end well within this.
STALL_S = 120.0
# The watch looks several times a second: this long without a look, the event loop
# itself hangs, and only a supervisor can end the process.
HANG_S = 30.0
_LATENCY = Histogram(*stream.LATENCY.told, buckets=stream.LATENCY.buckets)
_LAG = gauge_of(stream.LAG, REGISTRY)
_HELD_BACK = Gauge(*stream.HELD_BACK.told)
_MISSING = Gauge(*stream.MISSING_TOPICS.told)
_PROGRESS = Gauge(*stream.PROGRESS.told)
_ASSIGNED = gauge_of(stream.ASSIGNED, REGISTRY)
_SUBSCRIBED = gauge_of(stream.SUBSCRIBED, REGISTRY)
_REBALANCES = Counter(*stream.REBALANCES.told)


class Stalled(Exception):
    """Records wait and nothing goes forward."""


@dataclass(slots=True)
class Progress:
    """Remembers when the stream last went forward.

    Waiting for an unavailable store or broker counts as going forward: a restart
    would bring neither back.
    """

    monotonic: Callable[[], float] = time.monotonic
    now_s: Callable[[], float] = time.time
    missing: tuple[str, ...] = ()
    _at: float = field(default=0.0, init=False)
    _looked_at: float = field(default=0.0, init=False)
    _lag: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.forward()
        self._looked_at = self._at

    def forward(self) -> None:
        """The stream went forward, or had a reason to wait."""
        self._at = self.monotonic()
        _PROGRESS.set(self.now_s())

    def held_back(self, records: int) -> None:
        """So many records cannot be read before a transaction ends: no lag of ours."""
        _HELD_BACK.set(records)
        _MISSING.set(len(self.missing))

    def assigned(self) -> None:
        """The group gave us partitions, or took some."""
        _REBALANCES.inc()
        self.forward()

    def partitions(self, source: str, assigned: int, subscribed: int | None) -> None:
        """So many of an input's partitions are ours; None where nobody says."""
        _ASSIGNED.labels(source).set(assigned)
        _SUBSCRIBED.labels(source).set(nan if subscribed is None else subscribed)

    def unknown(self) -> None:
        """No broker answers: what waits is not known, which is not nothing."""
        _LAG.set(nan)
        _HELD_BACK.set(nan)

    def judged(self, records: Iterable[Any]) -> None:
        """These records' outputs were acknowledged just now."""
        now_s = self.now_s()
        for record in records:
            _LATENCY.observe(max(0.0, now_s - record.timestamp / _MS_PER_S))
        self.forward()

    def stalled(self, lag: int) -> bool:
        """Whether `lag` records wait and nothing has moved for `STALL_S`.

        >>> clock = iter([0.0, 121.0])
        >>> Progress(monotonic=lambda: next(clock)).stalled(1)
        True
        """
        _LAG.set(lag)
        self._lag = lag
        self._looked_at = now = self.monotonic()
        if lag == 0:
            self.forward()
            return False
        return now - self._at > STALL_S

    def fault(self) -> str:
        """Why a supervisor should restart this process; "" for no reason.

        Called from another thread: it answers while the event loop hangs.

        >>> clock = iter([0.0, 31.0])
        >>> Progress(monotonic=lambda: next(clock)).fault()
        'the event loop has hung for 31 s'
        """
        now = self.monotonic()
        if now - self._looked_at > HANG_S:
            return f"the event loop has hung for {now - self._looked_at:.0f} s"
        if self.missing:
            return (
                f"the brokers do not have {', '.join(self.missing)}: nothing of it is "
                "read; `scoring topics create` makes it"
            )
        if self._lag and now - self._at > STALL_S:
            return (
                f"{self._lag} records wait and nothing has moved for "
                f"{now - self._at:.0f} s"
            )
        return ""
