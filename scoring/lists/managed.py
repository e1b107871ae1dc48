"""Managed lists as rules ask them: a base in a file, and what changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from scoring.core.release.list_release import REMOVED_MS, ListChange, token_hash
from scoring.lists.base import Base, Get


def _no_base(_: int) -> int | None:
    """Where there is no base, nothing is in it."""
    return None


@dataclass(frozen=True, slots=True)
class ManagedList:
    """One list as of a revision: immutable, so that a batch sees one state of it.

    `changed` holds the ends of the hashes that changed since the base; they win.
    `count` are its entries, those that ended among them.
    """

    revision: int = 0
    base: Base | None = None
    changed: Mapping[int, int] = field(default_factory=dict)
    count: int = 0
    get: Callable[..., int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Make the look-up."""
        get = _getter(self.base.find if self.base else _no_base, self.changed)
        object.__setattr__(self, "get", get)

    @classmethod
    def of(
        cls, revision: int, base: Base | None, changes: Iterable[ListChange]
    ) -> ManagedList:
        """A list from its base as of a revision and the changes after it, in order."""
        empty = cls(revision, base, {}, base.count if base else 0)
        return empty.after(changes)

    def after(self, changes: Iterable[ListChange]) -> ManagedList:
        """The list after changes, in order; those that it holds change nothing."""
        revision, count, changed = self.revision, self.count, dict(self.changed)
        find = self.base.find if self.base else _no_base
        for change in changes:
            if change.revision <= revision:
                continue
            revision = change.revision
            for entry in change.entries:
                hashed = int(entry.hash, 16)
                before = changed.get(hashed, find(hashed)) or REMOVED_MS
                changed[hashed] = entry.until_ms
                count += bool(entry.until_ms) - bool(before)
        return ManagedList(revision, self.base, changed, count)


def _getter(find: Get, changed: Mapping[int, int]) -> Callable[..., int]:
    in_changed = changed.get

    def get(token: str, default: int = 0, /) -> int:
        """The event time, ms, until which a token is listed; never raises."""
        if not token:  # a payment without this field
            return default
        hashed = token_hash(token)
        until = in_changed(hashed)
        if until is None:
            until = find(hashed)
        return until or default

    return get


@dataclass(frozen=True, slots=True)
class ManagedLists:
    """All managed lists as of one revision, by name; a value, swapped as one."""

    revision: int = 0
    lists: Mapping[str, ManagedList] = field(default_factory=dict)
