"""Takes releases: what can be loaded comes into force, all else leaves what is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from scoring.core.policy.policy import Policy
from scoring.core.release.policy_release import PolicyRelease
from scoring.errors import BadArtifact, CorruptState
from scoring.releases.control_records import ControlRecord
from scoring.releases.policy_registry import PolicyRegistry
from scoring.releases.state_files import read_whole, write_whole
from scoring.wire.control_json import release_from_json, release_to_json, text_from_json


@dataclass(frozen=True, slots=True)
class Released:
    """A release with its policies, compiled: ready to be swapped in."""

    release: PolicyRelease
    sequence: int
    policy: Policy
    candidate: Policy | None = None
    shadows: tuple[Policy, ...] = ()


@dataclass(slots=True)
class ReleaseKeeper:
    """The release in force, from the state directory and then from records.

    `open`, `take` and `settle` block: call them off the event loop, one at a time.
    `refused` says why the newest release was not taken, "" where it was; `list_refused`
    says it of a list. `tell` is told
    each new reason to look, once.
    """

    file: Path
    registry: PolicyRegistry
    tell: Callable[[str], None]
    current: Released | None = None
    refused: str = ""
    list_refused: str = ""
    unable: str = ""
    _wanted: tuple[int, PolicyRelease] | None = None
    _due: bool = False
    _newest: int = 0  # sequence of the newest release that the topic has shown
    _unsaved: bool = False
    _told: str = ""

    def open(self) -> Released | None:
        """The last good release, Kafka or not; None where there is none that runs.

        `unable` then says why one that is there cannot run here.
        """
        try:
            body = read_whole(self.file)
            if body is not None:
                sequence, _, written = body.partition(b"\n")
                release = release_from_json(written)
                self.current = self._loaded(int(sequence), release)
        except BadArtifact as error:
            self.unable = f"{self.file}: release {release.release}: {error}"
            self.refuse(self.unable)
        except (CorruptState, OSError, ValueError) as error:
            self.refuse(f"the last good release cannot be read: {error}")
        return self.current

    def take(self, records: Iterable[ControlRecord]) -> None:
        """Note what records say, in their order; nothing comes into force yet."""
        for record in records:
            if record.key.list or isinstance(record.value, CorruptState):
                continue
            try:
                if record.key.version:
                    self._take_text(record, record.value)
                else:
                    self._take_release(record, record.value)
            except CorruptState as error:
                self.refuse(f"{record.name}: {error}")

    def settle(self) -> Released | None:
        """What comes into force now; None where nothing new does."""
        if self._wanted is None:
            self._look_back()
        if self._wanted is None or not self._due:
            return None
        self._due = False  # once more only where another text or release comes
        sequence, release = self._wanted
        try:
            found = self._loaded(sequence, release)
        except (BadArtifact, CorruptState) as error:
            self.refuse(f"release {release.release} is not taken: {error}")
            return None
        self.current, self._wanted, self._unsaved = found, None, True
        self.refused = self._told = self.unable = ""
        return found

    def save(self) -> None:
        """Write the release in force to the state directory, where that is due."""
        if not self._unsaved or self.current is None:
            return
        sequence, release = self.current.sequence, self.current.release
        try:
            # Processes share the file, and the slowest writes last.
            if self._kept_sequence() < sequence:
                write_whole(self.file, b"%d\n" % sequence + release_to_json(release))
            self._unsaved = False
        except OSError as error:
            self._tell(f"the state directory keeps no release for a restart: {error}")

    def _kept_sequence(self) -> int:
        """Of the release in the file; -1 where it holds none that can be read."""
        try:
            return int((read_whole(self.file) or b"-1").partition(b"\n")[0])
        except (CorruptState, ValueError):
            return -1

    def refuse(self, why: str) -> None:
        """Say why the newest that was said is not in force."""
        self.refused = why
        self._tell(why)

    def refuse_list(self, why: str) -> None:
        """Say why a list is not as the topic has it."""
        self.list_refused = why
        self._tell(why)

    def begin_again(self) -> None:
        """Another pass over the topic begins, from its first record."""
        self._newest = 0

    def _take_text(self, record: ControlRecord, value: bytes | None) -> None:
        if value is None:
            return  # decisions were made by it: it is kept
        text = text_from_json(value)
        if text.version != record.key.version:
            raise CorruptState(f"holds the text of {text.version}")
        try:
            self.registry.keep(text)
        except OSError as error:
            self._tell(f"the state directory keeps no policies: {error}")
        self._due = True

    def _take_release(self, record: ControlRecord, value: bytes | None) -> None:
        self._newest = max(self._newest, record.sequence)
        if record.sequence <= self._sequence:
            return
        if value is None:
            raise CorruptState("was deleted; what is in force stays")
        self._wanted = (record.sequence, release_from_json(value))
        self._due = True

    @property
    def _sequence(self) -> int:
        """Of the newest release that this process knows to be one."""
        wanted = self._wanted[0] if self._wanted else 0
        return max(wanted, self.current.sequence if self.current else 0)

    def _look_back(self) -> None:
        """Tell where the topic's newest release is older than the one in force."""
        held = self.current
        if held is not None and 0 < self._newest < held.sequence:
            self.refuse(
                f"the newest release of the topic (sequence {self._newest}) is older "
                f"than release {held.release.release} (sequence {held.sequence}), "
                "which stays: publish a release again"
            )

    def _loaded(self, sequence: int, release: PolicyRelease) -> Released:
        policies = {
            version: self.registry.policy(version) for version in release.versions
        }
        candidate = release.candidate
        return Released(
            release,
            sequence,
            policies[release.policy],
            None if candidate is None else policies[candidate.policy],
            tuple(policies[version] for version in release.shadow),
        )

    def _tell(self, why: str) -> None:
        if why != self._told:
            self._told = why
            self.tell(why)
