"""Follows the lists: takes the records of the topic `control`, keeps what is good."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from scoring.core.release.keys import ControlKey
from scoring.core.release.list_release import ListBase, ListChange
from scoring.errors import BadArtifact, CorruptState
from scoring.lists.files import ListFiles, ListState
from scoring.lists.managed import ManagedList, ManagedLists
from scoring.wire.list_records import list_base_from_json, list_change_from_json


@dataclass(slots=True)
class ListKeeper:
    """The lists of this process, from their files and then from records.

    Every method blocks: call them off the event loop, one at a time. `refused` is told
    of what could not be taken, once each. The list then lacks it, and is at fault until
    a base comes that holds it.
    """

    files: ListFiles
    refused: Callable[[str], None]
    current: ManagedLists = field(default_factory=ManagedLists)
    _states: dict[str, ListState] = field(default_factory=dict)
    _waiting: dict[str, ListBase] = field(default_factory=dict)
    _unsaved: set[str] = field(default_factory=set)
    _told: dict[str, str] = field(default_factory=dict)
    _faults: dict[str, str] = field(default_factory=dict)
    _lacking: set[str] = field(default_factory=set)  # since their newest base

    def open(self) -> ManagedLists:
        """The last good lists of the state directory, store and Kafka or not.

        Raises `BadArtifact` where the directory cannot be written.
        """
        self.files.prepare()
        lists: dict[str, ManagedList] = {}
        for name in self.files.names():
            try:
                state, lists[name], why = self.files.last_good(name)
            except BadArtifact as error:
                self._fault(name, f"list {name} is empty until it comes again: {error}")
                continue
            self._states[name] = state
            if why:
                told = f"list {name} is as of revision {state.revision}: {why}"
                self._fault(name, told)
        self.current = _together(lists)
        return self.current

    def take(
        self, records: Iterable[tuple[ControlKey, bytes | CorruptState | None]]
    ) -> ManagedLists:
        """Apply records in their order, those of other keys left aside.

        Of one that is damaged, the value is why.

        A base that cannot be built yet waits for its chunks; its list stays meanwhile.
        """
        changes: dict[str, list[ListChange]] = {}
        for key, value in records:
            if not key.list:
                continue
            try:
                if not self._is_held(key):
                    self._read(key, value, changes)
            except (BadArtifact, CorruptState, OSError) as error:
                self._lacking.add(key.list)
                self._fault(key.list, f"list {key.list} stays as it is: {error}")
        lists = dict(self.current.lists)
        for name in self._waiting.keys() | changes.keys():
            lists[name] = self._settled(name, lists.get(name), changes.get(name, []))
        self.current = _together(lists)
        return self.current

    def save(self) -> None:
        """Write what changed to the state directory; what cannot be is told."""
        for name in sorted(self._unsaved):
            try:
                self.files.save(name, self._states[name])
                self._unsaved.discard(name)
            except OSError as error:
                self._tell(name, f"list {name} cannot be kept for a restart: {error}")

    @property
    def fault(self) -> str:
        """Why the first of the lists that lack something is not whole; empty: none."""
        return self._faults[min(self._faults)] if self._faults else ""

    @property
    def waiting(self) -> tuple[str, ...]:
        """The lists whose newest base has not come whole, in order of their names."""
        return tuple(sorted(self._waiting))

    def _read(
        self,
        key: ControlKey,
        value: bytes | CorruptState | None,
        changes: dict[str, list[ListChange]],
    ) -> None:
        name = key.list
        if isinstance(value, CorruptState):
            raise value
        if key.chunk:
            self._chunk(name, key.chunk, value)
        elif value is None:
            return  # a change that the base holds; a base is never taken back
        elif key.change is None:
            base = list_base_from_json(value)
            self._lacking.discard(name)
            if self._is_news(name, base):
                self._waiting[name] = base
            elif name not in self._waiting:
                self._whole(name)
        else:
            change = list_change_from_json(value)
            changes.setdefault(name, []).append(change)

    def _chunk(self, name: str, chunk: str, value: bytes | None) -> None:
        state = self._states.get(name)
        if value is None:
            self.files.drop_chunk(name, chunk)
        elif state is None or chunk not in state.base.base:  # not built already
            self.files.keep_chunk(name, chunk, value)

    def _is_held(self, key: ControlKey) -> bool:
        """Whether the base holds a change already."""
        state = self._states.get(key.list)
        if key.change is None or state is None:
            return False
        return key.change <= state.base.revision

    def _is_news(self, name: str, base: ListBase) -> bool:
        state = self._states.get(name)
        return state is None or base.revision > state.base.revision

    def _settled(
        self, name: str, held: ManagedList | None, changes: list[ListChange]
    ) -> ManagedList:
        """A list with its newest base, where that is whole, and its changes."""
        state = self._states.get(name, ListState(ListBase(name, 0, (), 0)))
        news = [change for change in changes if change.revision > state.revision]
        state = replace(state, changes=(*state.changes, *news))
        managed = (held or ManagedList()).after(news)
        base = self._waiting.get(name)
        if base is not None:
            try:
                mapped = self.files.built(base)
            except (BadArtifact, OSError) as error:
                self._fault(name, f"list {name} stays as it is: {error}")
            else:
                after = [c for c in state.changes if c.revision > base.revision]
                state = ListState(base, tuple(after))
                managed = ManagedList.of(base.revision, mapped, after)
                del self._waiting[name]
                if name not in self._lacking:
                    self._whole(name)
        if state != self._states.get(name):
            self._unsaved.add(name)
        self._states[name] = state
        return managed

    def _whole(self, name: str) -> None:
        self._told.pop(name, None)
        self._faults.pop(name, None)

    def _fault(self, name: str, why: str) -> None:
        self._faults[name] = why
        self._tell(name, why)

    def _tell(self, name: str, why: str) -> None:
        if self._told.get(name) != why:
            self._told[name] = why
            self.refused(why)


def _together(lists: dict[str, ManagedList]) -> ManagedLists:
    revisions = (managed.revision for managed in lists.values())
    return ManagedLists(max(revisions, default=0), lists)
