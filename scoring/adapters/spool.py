"""The spool of provisional answers: a file of length-prefixed records, or memory."""

from __future__ import annotations

import logging
from pathlib import Path
from struct import Struct

log = logging.getLogger(__name__)
_LENGTH = Struct(">I")


class MemorySpool:
    """A spool that ends with the process."""

    def __init__(self, *, count_max: int) -> None:
        self._kept: list[bytes] = []
        self._count_max = count_max

    def append(self, logged: bytes) -> bool:
        """Keep one record; False where the bound is reached."""
        if len(self._kept) >= self._count_max:
            return False
        self._kept.append(logged)
        return True

    def load(self) -> list[bytes]:
        """What was kept and never cleared, oldest first."""
        return list(self._kept)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


class FileSpool:
    """A spool that outlives the process; written through to the operating system.

    Not synced to the disk: it survives the process, not the machine.
    """

    def __init__(self, path: Path, *, bytes_max: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._bytes_max = bytes_max
        self._file = path.open("ab", buffering=0)

    def append(self, logged: bytes) -> bool:
        """Keep one record; False where the bound is reached, or the disk is full."""
        end, record = self._file.tell(), _LENGTH.pack(len(logged)) + logged
        if end + len(record) > self._bytes_max:
            return False
        try:
            if self._file.write(record) == len(record):
                return True
        except OSError as error:
            log.warning("cannot keep a provisional answer: %s", error.strerror)
        self._cut(end)
        return False

    def load(self) -> list[bytes]:
        """What was kept and never cleared, oldest first; a torn tail is dropped."""
        raw = self._path.read_bytes()
        kept = []
        at = 0
        while at + _LENGTH.size <= len(raw):
            (length,) = _LENGTH.unpack_from(raw, at)
            record = raw[at + _LENGTH.size : at + _LENGTH.size + length]
            if len(record) < length:
                break
            kept.append(record)
            at += _LENGTH.size + length
        self._cut(at)
        return kept

    def clear(self) -> None:
        """Forget everything."""
        self._cut(0)

    def _cut(self, end: int) -> None:
        """Leave so many bytes: a torn record would swallow the one after it."""
        self._file.truncate(end)
        self._file.seek(end)
