"""Time by stage, on an injected clock."""

from __future__ import annotations

from collections.abc import Callable

_US_PER_S = 1_000_000


class Stopwatch:
    """Lap times in microseconds, in the order of the laps.

    >>> ticks = iter([0.0, 0.001, 0.003])
    >>> watch = Stopwatch(lambda: next(ticks))
    >>> watch.lap("observe"); watch.lap("predict"); watch.durations_us
    {'observe': 1000, 'predict': 2000}
    """

    __slots__ = ("_clock", "_last", "durations_us")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self.durations_us: dict[str, int] = {}

    def lap(self, stage: str) -> None:
        """End a stage: the time since the last lap is its."""
        now = self._clock()
        self.durations_us[stage] = round((now - self._last) * _US_PER_S)
        self._last = now
