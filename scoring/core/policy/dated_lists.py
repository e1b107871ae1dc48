"""Managed lists over time: each entry counts from when it was added, for a replay."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scoring.core.policy.rules.program import Listed
from scoring.core.release.list_release import token_hash

Row = tuple[int, int, int]  # hash, since, until


@dataclass(frozen=True, slots=True)
class DatedList:
    """One list: `hashes` rise, and each token is listed from `since` until `until`, ms.

    A service asks what is listed now; over payments of the past that would let an
    entry catch the very fraud for which it was added.
    """

    hashes: Sequence[int]
    since: Sequence[int]
    until: Sequence[int]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> DatedList:
        """A list of rows in any order."""
        columns = list(zip(*sorted(rows), strict=True))
        return cls(*columns) if columns else cls((), (), ())

    def as_of(self, at_ms: int) -> Listed:
        """The list as a payment of that event time meets it.

        >>> held = DatedList.of([(token_hash("card"), 10, 20)])
        >>> [held.as_of(at).get("card", 0) for at in (9, 10)]
        [0, 20]
        """
        return _AsOf(self, at_ms)


@dataclass(frozen=True, slots=True)
class _AsOf:
    held: DatedList
    at_ms: int

    def get(self, token: str, default: int = 0, /) -> int:
        if not token:  # a payment without this field
            return default
        hashes, hashed = self.held.hashes, token_hash(token)
        place = bisect_left(hashes, hashed)
        if place == len(hashes) or hashes[place] != hashed:
            return default
        listed = self.held.since[place] <= self.at_ms
        return self.held.until[place] if listed else default


@dataclass(frozen=True, slots=True)
class DatedLists:
    """The lists of one revision, by name."""

    revision: int = 0
    lists: Mapping[str, DatedList] = field(default_factory=dict)

    def as_of(self, at_ms: int) -> dict[str, Listed]:
        """All lists as a payment of that event time meets them."""
        return {name: held.as_of(at_ms) for name, held in self.lists.items()}


NO_LISTS = DatedLists()
