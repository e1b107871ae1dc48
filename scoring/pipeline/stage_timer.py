"""Time by stage, on an injected clock, and the part of it that was only waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_US_PER_S = 1_000_000


@dataclass(slots=True)
class Idle:
    """Seconds that a batch waited for the store and its loop had nothing else to do.

    What the loop did meanwhile, for other batches and their callers, is not idle. So a
    batch's time without it is what the batch cost, however slow the store was.
    """

    seconds: float = 0.0


class Stopwatch:
    """Lap times in microseconds, in the order of the laps.

    >>> ticks = iter([0.0, 0.001, 0.003])
    >>> watch = Stopwatch(lambda: next(ticks))
    >>> watch.lap("observe"); watch.lap("predict"); watch.durations_us
    {'observe': 1000, 'predict': 2000}
    """

    __slots__ = ("_clock", "_idle", "_last", "_worked", "durations_us")

    def __init__(
        self,
        clock: Callable[[], float],
        idle: Idle | None = None,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        """`worked` is the processor time of the loop's thread, seconds."""
        self._clock, self._worked = clock, worked
        self._idle = Idle() if idle is None else idle
        self._last = clock()
        self.durations_us: dict[str, int] = {}

    def lap(self, stage: str) -> None:
        """End a stage: the time since the last lap is its."""
        now = self._clock()
        self.durations_us[stage] = round((now - self._last) * _US_PER_S)
        self._last = now

    def waited(self, stage: str, *, since: float) -> None:
        """A stage that ended when this watch began; `since` is of the same clock."""
        self.durations_us[stage] = max(round((self._last - since) * _US_PER_S), 0)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around an exchange with the store: what of it is idle is counted.

        >>> ticks, work, idle = iter([0.0, 1.0, 1.75]), iter([5.0, 5.5]), Idle()
        >>> with Stopwatch(lambda: next(ticks), idle, lambda: next(work)).waiting():
        ...     pass
        >>> idle.seconds
        0.25
        """
        began, worked = self._clock(), self._worked()
        try:
            yield
        finally:
            idle_s = self._clock() - began - (self._worked() - worked)
            self._idle.seconds += max(idle_s, 0.0)
