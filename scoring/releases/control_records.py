"""Records of the topic `control`, admitted: sealed, known and newer than the last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from scoring.core.release.keys import ControlKey, control_key
from scoring.errors import CorruptState
from scoring.wire.control_json import seal_of

_KEY_CHARACTERS = 80  # of a key that nobody knows, in a line of the log


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """One record: what it is about, and its value; None takes back what was said.

    Of a list, the value may be why it is not what the control plane wrote: what that
    list has is then not what it should have.
    """

    key: ControlKey
    name: str  # the key as it is written
    value: bytes | CorruptState | None
    sequence: int


@dataclass(slots=True)
class ControlIntake:
    """Passes on what the control plane wrote, each record newer than its key's last.

    One serves one pass over the topic, from its beginning. `refused` is told of what
    the control plane did not write, unless it is of a list. What is deleted is
    forgotten, so that the memory is bounded as the topic is.
    """

    refused: Callable[[str], None]
    _last: dict[str, int] = field(default_factory=dict)

    def admitted(self, records: Iterable[Any]) -> Iterator[ControlRecord]:
        """Those to take, in order."""
        for record in records:
            name = (record.key or b"").decode(errors="replace")
            try:
                admitted = self._admitted(name, record)
            except CorruptState as error:
                admitted = self._damaged(name, record, str(error))
            if admitted is not None:
                yield admitted

    def _damaged(self, name: str, record: Any, why: str) -> ControlRecord | None:
        place = f"{record.topic}@{record.offset}"
        told = f"{place}, key {name[:_KEY_CHARACTERS]!r}: {why}"
        key = control_key(name)
        if key is not None and key.list:
            return ControlRecord(key, name, CorruptState(told), 0)
        self.refused(told)
        return None

    def _admitted(self, name: str, record: Any) -> ControlRecord | None:
        seal = seal_of(record.headers)
        if not seal.holds(record.value):
            raise CorruptState("is not what its sha256 says")
        key = control_key(name)
        if key is None:  # of a later release, for others
            return None
        if seal.sequence <= self._last.get(name, 0):
            return None
        if record.value is None and key.list:
            self._last.pop(name, None)
        else:
            self._last[name] = seal.sequence
        return ControlRecord(key, name, record.value, seal.sequence)
