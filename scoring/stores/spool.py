"""The spool of provisional answers: files of checksummed records, or memory."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from scoring.errors import BadArtifact
from scoring.stores.spool_records import HEAD, pieces, record

log = logging.getLogger(__name__)
# A disk in this state may be well again, and callers want answers meanwhile.
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


class MemorySpool:
    """A spool that ends with the process."""

    def __init__(self, *, count_max: int) -> None:
        self._kept: list[bytes] = []
        self._count_max = count_max

    @property
    def bytes_used(self) -> int:
        """What it keeps now."""
        return sum(map(len, self._kept))

    def append(self, logged: bytes) -> bool:
        """Keep one record; False where the bound is reached."""
        if len(self._kept) >= self._count_max:
            return False
        self._kept.append(logged)
        return True

    def take_over(self) -> list[bytes]:
        """Nothing: no other process kept anything here."""
        return []

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def close(self) -> None:
        """There is nobody to leave it to."""


@dataclass(slots=True)
class FileSpool:
    """Spools that outlive their processes; written through to the operating system.

    Each process writes a file of its own, `<stem>.<number>.spool`, and holds its
    lock: the kernel lets go of it when the process ends, however it ends. What
    `left` names is then anybody's: whoever gets the lock takes it over, and removes
    the file with `clear`. Not synced to the disk: it survives the process, not the
    machine. `whole` says of bytes without a checksum whether they are a record;
    `damaged` gets each piece that is none.
    """

    directory: Path
    stem: str
    left: re.Pattern[str]
    bytes_max: int
    whole: Callable[[bytes], bool]
    damaged: Callable[[], None]
    _own: _Locked | None = None
    _taken: list[_Locked] = field(default_factory=list)
    _passed: set[Path] = field(default_factory=set)  # left as they are
    _is_full: bool = False

    def open(self) -> None:
        """Create this process's file; raises `BadArtifact` where none can be written.

        A disk that is full is no wrong setting: then the first answer tries again.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for number in count():
                path = self.directory / f"{self.stem}.{number}.spool"
                self._own = _Locked.created(path)
                if self._own is not None:
                    return
        except OSError as error:
            if error.errno not in _PASSING:
                raise BadArtifact(
                    f"SCORING_STATE_DIR: {self.directory}: cannot be written: "
                    f"{error.strerror}"
                ) from error
            self._refused(error)

    @property
    def bytes_used(self) -> int:
        """What this process keeps now; not what it took over."""
        return 0 if self._own is None else self._own.end

    def append(self, logged: bytes) -> bool:
        """Keep one record; False where the bound is reached, or the disk is full."""
        try:
            if self._own is None:
                self.open()
            own = self._own
            if own is None or own.end + HEAD.size + len(logged) > self.bytes_max:
                return False
            own.append(record(logged))
        except (OSError, BadArtifact) as error:
            self._refused(error)
            return False
        if self._is_full:
            log.warning("the spool stores provisional decisions again")
        self._is_full = False
        return True

    def _refused(self, error: Exception) -> None:
        if not self._is_full:
            why = error.strerror if isinstance(error, OSError) else error
            log.error("the spool at %s cannot be written: %s", self.directory, why)
        self._is_full = True

    def take_over(self) -> list[bytes]:
        """What a process that has ended left here, oldest first; one file a call.

        What cannot be read is set aside in a file beside it, told to `damaged`, and
        keeps nobody from starting.
        """
        for path in self._names():
            try:
                taken = _Locked.left_at(path)
                if taken is None:
                    continue
                self._taken.append(taken)
                kept = self._sound(taken)
            except OSError as error:
                self._passed.add(path)
                self.damaged()
                log.warning("%s: cannot be taken over: %s", path, error.strerror)
                continue
            if kept:
                log.warning("%s: %d provisional answers taken over", path, len(kept))
                return kept
            self._remove(taken)
        return []

    def _names(self) -> list[Path]:
        mine = self._passed.union(each.path for each in self._taken)
        if self._own is not None:
            mine.add(self._own.path)
        try:
            there = list(self.directory.iterdir())
        except OSError:  # not there yet, or not readable: told when it is written to
            return []
        return sorted(
            path
            for path in there
            if path not in mine and self.left.fullmatch(path.name)
        )

    def _sound(self, taken: _Locked) -> list[bytes]:
        kept: list[bytes] = []
        broken: list[bytes] = []
        for piece, is_whole in pieces(taken.path.read_bytes(), self.whole):
            (kept if is_whole else broken).append(piece)
        if broken:
            self._set_aside(taken, broken)
        return kept

    def _set_aside(self, taken: _Locked, broken: list[bytes]) -> None:
        beside, all_of_it = taken.path.with_suffix(".damaged"), b"".join(broken)
        for _ in broken:
            self.damaged()
        try:
            with beside.open("ab+") as file:
                file.seek(0)
                # It was, where an earlier process found it, and could not clear it.
                if all_of_it not in file.read():
                    file.write(all_of_it)
        except OSError as error:  # the file itself stays, then, and keeps it
            self._passed.add(taken.path)
            log.warning(
                "%s: damaged, and the damaged part cannot be saved: %s",
                taken.path,
                error.strerror,
            )
            return
        log.error(
            "%s: %d damaged pieces are set aside in %s: what they held may be missing "
            "from the log",
            *(taken.path, len(broken), beside.name),
        )

    def clear(self) -> None:
        """Forget everything: all of it is where it outlives this process."""
        if self._own is not None:
            self._own.cut(0)
        while self._taken:
            self._remove(self._taken[0])

    def _remove(self, taken: _Locked) -> None:
        self._taken.remove(taken)
        taken.close(remove=taken.path not in self._passed)

    def close(self) -> None:
        """Let go of what others may take over; an empty file is removed."""
        for each in self._taken:
            each.close(remove=False)
        self._taken.clear()
        if self._own is not None:
            self._own.close(remove=self._own.end == 0)
            self._own = None


@dataclass(slots=True, eq=False)
class _Locked:
    """A file that no other process appends to, takes over or removes."""

    path: Path
    number: int  # its descriptor
    end: int = 0

    @classmethod
    def created(cls, path: Path) -> _Locked | None:
        """A new file, or None where it exists or another took it at once."""
        try:
            number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND)
        except FileExistsError:
            return None
        return cls._held(path, number)

    @classmethod
    def left_at(cls, path: Path) -> _Locked | None:
        """A file that nobody holds, or None."""
        try:
            number = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        return cls._held(path, number)

    @classmethod
    def _held(cls, path: Path, number: int) -> _Locked | None:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(number).st_nlink:  # else removed before we had it
                return cls(path, number)
        except BlockingIOError:
            pass
        except OSError:
            os.close(number)
            raise
        os.close(number)
        return None

    def append(self, record: bytes) -> None:
        """Write whole, or leave what was there; raises `OSError`."""
        try:
            written = os.write(self.number, record)
        except OSError:
            self.cut(self.end)
            raise
        if written < len(record):
            self.cut(self.end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.end += len(record)

    def cut(self, end: int) -> None:
        """Leave so many bytes: a torn record is no answer that was given."""
        os.ftruncate(self.number, end)
        self.end = end

    def close(self, *, remove: bool) -> None:
        """Let go of it."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self.number)
