"""What all processes count together: declines, what tripped, and a budget of money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Counts = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyAsk:
    """What one process has counted since it last told, and what it wants to know.

    `buckets` are spans of event time by number, `hours` likewise: counts by name are
    added there. `newest` is the latest bucket that this process counts as now, 0 for
    none. `window` and `history` name buckets and hours to be told of.
    """

    buckets: Mapping[int, Counts] = field(default_factory=dict)
    hours: Mapping[int, Counts] = field(default_factory=dict)
    newest: int = 0
    window: Sequence[int] = ()
    history: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Tallied:
    """What all processes counted, in the order asked for; `newest` is the latest now.

    `trips` are those that hold, by name, as they were told.
    """

    window: list[Counts]
    history: list[Counts]
    newest: int
    trips: Mapping[str, bytes]


class TallyStore(Protocol):
    """Counts that are safe to lose. Raises as `ports.store` says.

    Where `tally` fails, its counts may have been added or not: do not send them again.
    """

    async def tally(self, own: TallyAsk, *, timeout_s: float | None = None) -> Tallied:
        """Add up and read, in one exchange."""
        ...

    async def trip(self, trips: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Note what tripped, the first to say so counts; returns all that hold."""
        ...

    async def reserve(
        self, tenant: str, day: int, minor: int, *, timeout_s: float | None = None
    ) -> int:
        """Reserve money of a tenant's day, once and for all; returns what was before.

        Reservations of a day follow each other without a gap or an overlap, so that
        each has what of it lies below the budget. Where the call fails, nothing is
        reserved that anybody could use.
        """
        ...
