"""How fast a replay goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_MS_PER_S = 1_000


@dataclass(slots=True)
class ReplayPace:
    """Holds rows back: to a rate, to a time-lapse of event time, or not at all.

    `rate` is rows per second; `time_lapse` seconds of event time per second. Both
    None is full speed. `monotonic` and `sleep` are the clock.
    """

    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    rate: float | None = None
    time_lapse: float | None = None
    _began: float | None = None
    _first_ms: int = 0
    _count: int = 0

    async def ready(self, occurred_at_ms: int, *, rows: int) -> None:
        """Return when the next `rows` rows, the first of that time, may go."""
        if self._began is None:
            self._began, self._first_ms = self.monotonic(), occurred_at_ms
        due_s = self._due_s(occurred_at_ms)
        self._count += rows
        wait_s = self._began + due_s - self.monotonic()
        if wait_s > 0:
            await self.sleep(wait_s)

    def _due_s(self, occurred_at_ms: int) -> float:
        if self.rate is not None:
            return self._count / self.rate
        if self.time_lapse is not None:
            return (occurred_at_ms - self._first_ms) / _MS_PER_S / self.time_lapse
        return 0.0

    def rows_max(self, most: int) -> int:
        """How many rows may go at once without a visible burst."""
        if self.rate is not None:
            return max(1, min(most, int(self.rate / 10)))
        return 1 if self.time_lapse is not None else most
