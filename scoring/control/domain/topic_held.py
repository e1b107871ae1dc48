"""What the topic `control` holds, read from its beginning to its end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from scoring.core.release.keys import ControlKey, control_key
from scoring.core.release.policy_release import POLICY_KEY, PolicyRelease
from scoring.errors import CorruptState
from scoring.wire.control_json import release_from_json, seal_of
from scoring.wire.list_records import list_base_from_json

# What nobody counts to: whoever wrote more than this into the topic is not ours.
_COUNTED_MAX = 2**62


@dataclass(frozen=True, slots=True)
class HeldRelease:
    """The newest release of the topic: as bytes, and what they say."""

    sequence: int
    value: bytes
    release: PolicyRelease


@dataclass(slots=True)
class HeldList:
    """A list as the topic has it; `parts` are the keys of its chunks and changes."""

    count: int = 0  # of its base
    changes: int = 0
    parts: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands on it."""
        return not self.count and not self.changes


@dataclass(slots=True)
class TopicHeld:
    """All that was taken of the topic; `sequence` and `list_revision` are the highest.

    What nobody of ours wrote is left aside, as readers leave it.
    """

    sequence: int = 0
    list_revision: int = 0
    release: HeldRelease | None = None
    lists: dict[str, HeldList] = field(default_factory=dict)
    _digests: dict[int, tuple[str, bytes]] = field(default_factory=dict)

    def take(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        """Take one record, in the topic's order."""
        name = (key or b"").decode(errors="replace")
        try:
            seal = seal_of(headers)
            about = control_key(name)
            if not seal.holds(value) or about is None or seal.sequence > _COUNTED_MAX:
                return
            if about.list:
                self._take_list(about, name, value)
            elif name == POLICY_KEY and value is not None:
                self._take_release(seal.sequence, value)
        except CorruptState:
            return
        self.sequence = max(self.sequence, seal.sequence)
        self._digests[seal.sequence] = (name, seal.sha256)

    def holds_another(self, sequence: int, key: str, value: bytes | None) -> bool:
        """Whether another record than this one has its sequence.

        >>> TopicHeld().holds_another(1, "policy", b"{}")
        False
        """
        held = self._digests.get(sequence)
        return held is not None and held != (key, sha256(value or b"").digest())

    def others(self, names: Collection[str]) -> list[str]:
        """Lists with entries that are none of these, in order."""
        return sorted(
            name
            for name, held in self.lists.items()
            if name not in names and not held.is_empty
        )

    def _take_release(self, sequence: int, value: bytes) -> None:
        release = release_from_json(value)
        if release.release > _COUNTED_MAX:
            raise CorruptState("release: nobody has counted to it")
        if self.release is None or sequence > self.release.sequence:
            self.release = HeldRelease(sequence, value, release)

    def _take_list(self, about: ControlKey, name: str, value: bytes | None) -> None:
        held = self.lists.setdefault(about.list, HeldList())
        if about.change is not None:
            if about.change > _COUNTED_MAX:
                raise CorruptState("revision: nobody has counted to it")
            self.list_revision = max(self.list_revision, about.change)
            held.changes += 1 if value is not None else -1
        elif not about.chunk:
            if value is not None:
                base = list_base_from_json(value)
                self.list_revision = max(self.list_revision, base.revision)
                held.count = base.count
            return
        if value is None:
            held.parts.discard(name)
        else:
            held.parts.add(name)
