"""The lists' files in the state directory: the last good state of each, and its base.

All processes of a machine share the directory. Whatever is written appears whole under
its name, and one process at a time writes. Nothing is synced to the disk: what a power
cut leaves half-written is found by its checksum, and comes again from the topic.

    <list>.json           the last good state: its seal, then its base and changes
    <list>.before.json    the state with the base before that
    <list>.<hash>.base    a base (`scoring.lists.base`), named by its chunks
    chunks/<list>.<id>    chunks on their way to a base
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from scoring.core.release.list_release import ListBase, ListChange
from scoring.errors import BadArtifact, CorruptState
from scoring.lists.base import Base, open_base, write_base
from scoring.lists.managed import ManagedList
from scoring.wire.list_records import state_from_json, state_to_json

_NAME_CHARACTERS = 16
_SEAL_BYTES = 64  # SHA-256, hexadecimal


@dataclass(frozen=True, slots=True)
class ListState:
    """One list as of a revision: its base, and the changes after it, in order."""

    base: ListBase
    changes: tuple[ListChange, ...] = ()

    @property
    def revision(self) -> int:
        """The last revision that it holds."""
        return self.changes[-1].revision if self.changes else self.base.revision


@dataclass(frozen=True, slots=True)
class ListFiles:
    """The files of one state directory; every method blocks."""

    directory: Path

    def prepare(self) -> None:
        """Make the directories; raises `BadArtifact` where none can be."""
        try:
            (self.directory / "chunks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadArtifact(
                f"SCORING_STATE_DIR: {self.directory}: cannot be written: "
                f"{error.strerror}"
            ) from error

    def names(self) -> list[str]:
        """The lists that a state is kept of."""
        found = {path.name.partition(".")[0] for path in self.directory.glob("*.json")}
        return sorted(found)

    def last_good(self, name: str) -> tuple[ListState, ManagedList, str]:
        """The newest state that can be read whole, and why no newer one, else "".

        Raises `BadArtifact` where there is none.
        """
        try:
            return *self._opened(self.directory / f"{name}.json"), ""
        except BadArtifact as error:
            why = str(error)
        try:
            return *self._opened(self.directory / f"{name}.before.json"), why
        except BadArtifact:
            raise BadArtifact(why) from None

    def _opened(self, path: Path) -> tuple[ListState, ManagedList]:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise BadArtifact(f"{path}: cannot be read: {error.strerror}") from error
        seal, value = raw[:_SEAL_BYTES], raw[_SEAL_BYTES + 1 :]
        if sha256(value).hexdigest().encode() != seal:
            raise BadArtifact(f"{path}: is damaged: its checksum does not fit")
        try:
            state = ListState(*state_from_json(value))
        except CorruptState as error:
            raise BadArtifact(f"{path}: {error}") from error
        base = self.base(state.base)
        return state, ManagedList.of(state.base.revision, base, state.changes)

    def base(self, manifest: ListBase) -> Base | None:
        """The mapped base; None for one without entries. Raises `BadArtifact`."""
        return open_base(self._base_path(manifest)) if manifest.base else None

    def _base_path(self, manifest: ListBase) -> Path:
        told = " ".join((*manifest.base, str(manifest.count)))
        digest = sha256(told.encode()).hexdigest()[:_NAME_CHARACTERS]
        return self.directory / f"{manifest.list}.{digest}.base"

    def keep_chunk(self, name: str, chunk: str, value: bytes) -> None:
        """Keep a chunk until its base is built."""
        path = self._chunk_path(name, chunk)
        if not path.exists():
            self._write(path, value)

    def drop_chunk(self, name: str, chunk: str) -> None:
        """Forget a chunk that no base is built of any more."""
        self._chunk_path(name, chunk).unlink(missing_ok=True)

    def _chunk_path(self, name: str, chunk: str) -> Path:
        return self.directory / "chunks" / f"{name}.{chunk}"

    def built(self, manifest: ListBase) -> Base | None:
        """The base, built of its chunks unless another process has built it.

        None for one without entries. Raises `BadArtifact` where a chunk is missing or
        does not fit.
        """
        path = self._base_path(manifest)
        if not manifest.base:
            return None
        with self._alone():
            try:
                base = open_base(path)
            except BadArtifact:
                self._build(path, manifest)
                base = open_base(path)
        for chunk in manifest.base:
            self.drop_chunk(manifest.list, chunk)
        return base

    def _build(self, path: Path, manifest: ListBase) -> None:
        paths = [self._chunk_path(manifest.list, chunk) for chunk in manifest.base]
        lacking = sum(not chunk.exists() for chunk in paths)
        if lacking:
            raise BadArtifact(
                f"list {manifest.list}: revision {manifest.revision}: {lacking} of "
                f"{len(paths)} chunks have not come"
            )
        write_base(path, manifest.count, (chunk.read_bytes() for chunk in paths))

    def save(self, name: str, state: ListState) -> None:
        """Keep a state as the last good one, unless a newer one is kept already."""
        path = self.directory / f"{name}.json"
        with self._alone():
            kept = self._kept(path)
            if kept is not None and kept.revision >= state.revision:
                return
            if kept is not None and kept.base.base != state.base.base:
                path.replace(self.directory / f"{name}.before.json")
            value = state_to_json(state.base, state.changes)
            self._write(path, sha256(value).hexdigest().encode() + b"\n" + value)
            self._remove_unnamed(name)

    def _kept(self, path: Path) -> ListState | None:
        """The state under a name; None where there is none that can be read."""
        try:
            value = path.read_bytes()[_SEAL_BYTES + 1 :]
            return ListState(*state_from_json(value))
        except (OSError, CorruptState):
            return None

    def _remove_unnamed(self, name: str) -> None:
        """Remove bases that no state names; a process keeps what it has mapped."""
        kept = (
            self._kept(self.directory / f"{name}{kind}")
            for kind in (".json", ".before.json")
        )
        named = {self._base_path(state.base) for state in kept if state is not None}
        for path in set(self.directory.glob(f"{name}.*.base")) - named:
            path.unlink(missing_ok=True)

    def _write(self, path: Path, value: bytes) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(value)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process of this machine writes here."""
        with (self.directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
