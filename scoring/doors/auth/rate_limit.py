"""How fast one caller may go: a token bucket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from scoring.errors import RateLimited

_MS_PER_S = 1_000


@dataclass(slots=True)
class Quota:
    """`rate_per_s` on average, `burst_count` at once; full at the start.

    >>> now = iter([0.0, 0.0, 0.0, 0.0, 0.1])
    >>> quota = Quota(10.0, 2, lambda: next(now))
    >>> quota.spend(), quota.spend()
    (None, None)
    >>> try:
    ...     quota.spend()
    ... except RateLimited as error:
    ...     error.retry_after_ms
    100
    >>> quota.spend()
    """

    rate_per_s: float
    burst_count: int
    monotonic: Callable[[], float]
    _left: float = field(init=False)
    _seen: float = field(init=False)

    def __post_init__(self) -> None:
        self._left = float(self.burst_count)
        self._seen = self.monotonic()

    def spend(self) -> None:
        """Take one; raises `RateLimited` with the time until there is one again."""
        now = self.monotonic()
        refilled = self._left + (now - self._seen) * self.rate_per_s
        self._left, self._seen = min(refilled, float(self.burst_count)), now
        if self._left < 1:
            wait_ms = ceil((1 - self._left) / self.rate_per_s * _MS_PER_S)
            raise RateLimited(self.rate_per_s, retry_after_ms=max(1, wait_ms))
        self._left -= 1
