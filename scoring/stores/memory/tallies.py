"""The counts of all processes, in this process's memory: the twin of the store's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from scoring.ports.tallies import Counts, Tallied, TallyAsk


@dataclass(slots=True)
class MemoryTallies:
    """See `ports.tallies`; it fails never and forgets nothing."""

    _buckets: dict[int, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    _hours: dict[int, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    _trips: dict[str, bytes] = field(default_factory=dict)
    _reserved: Counter[tuple[str, int]] = field(default_factory=Counter)
    _newest: int = 0

    async def tally(self, own: TallyAsk, *, timeout_s: float | None = None) -> Tallied:
        """See `ports.tallies`."""
        del timeout_s
        for added, kept in ((own.buckets, self._buckets), (own.hours, self._hours)):
            for number, counts in added.items():
                kept[number].update(counts)
        self._newest = max(self._newest, own.newest)
        buckets, hours = self._buckets, self._hours
        window: list[Counts] = [dict(buckets.get(each, ())) for each in own.window]
        history: list[Counts] = [dict(hours.get(each, ())) for each in own.history]
        return Tallied(window, history, self._newest, dict(self._trips))

    async def trip(self, trips: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """See `ports.tallies`."""
        self._trips = {**trips, **self._trips}
        return dict(self._trips)

    async def reserve(
        self, tenant: str, day: int, minor: int, *, timeout_s: float | None = None
    ) -> int:
        """See `ports.tallies`."""
        del timeout_s
        before = self._reserved[tenant, day]
        self._reserved[tenant, day] += minor
        return before
