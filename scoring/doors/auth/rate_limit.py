"""How fast one caller may go: a token bucket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

import grpc

from scoring.doors.grpc.status import Refusal, Refused

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
    ... except Refused as refused:
    ...     refused.refusal.pushback_ms
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
        """Take one; raises `Refused` with the time until there is one again."""
        now = self.monotonic()
        refilled = self._left + (now - self._seen) * self.rate_per_s
        self._left, self._seen = min(refilled, float(self.burst_count)), now
        if self._left < 1:
            raise Refused(self._refusal())
        self._left -= 1

    def _refusal(self) -> Refusal:
        return Refusal(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"this caller's rate is {self.rate_per_s:g} a second; retry after the "
            "pushed-back time",
            pushback_ms=max(1, ceil((1 - self._left) / self.rate_per_s * _MS_PER_S)),
        )
