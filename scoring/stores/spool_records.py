"""The records of a spool file: found again behind a damaged one."""

from __future__ import annotations

import re
from binascii import crc32
from collections.abc import Callable, Iterator
from struct import Struct

# What a record begins with: found again behind a damaged one. Then the length of
# what was logged, and the checksum of the length and of that.
_MAGIC = b"SPL1"
HEAD = Struct(">4sII")
# Before there were checksums a record was its length, and what was logged.
_LENGTH = Struct(">I")
_LENGTH_MAX = 1 << 20
# Where one of either kind may begin, behind a damaged one.
_BEGINNING = re.compile(_MAGIC + rb"|\0\0")


def record(logged: bytes) -> bytes:
    """What was logged, as a record that can be told from damage."""
    length = _LENGTH.pack(len(logged))
    return HEAD.pack(_MAGIC, len(logged), crc32(logged, crc32(length))) + logged


def pieces(raw: bytes, whole: Callable[[bytes], bool]) -> Iterator[tuple[bytes, bool]]:
    """What a file holds, in order: records, and pieces that are none.

    >>> raw = record(b"one") + b"torn" + record(b"two")
    >>> list(pieces(raw, lambda logged: True))
    [(b'one', True), (b'torn', False), (b'two', True)]
    """
    at = 0
    while at < len(raw):
        found = _record_at(raw, at, whole)
        if found is not None:
            logged, at = found
            yield logged, True
            continue
        following = (m.start() for m in _BEGINNING.finditer(raw, at + 1))
        sound = (p for p in following if _record_at(raw, p, whole) is not None)
        end = next(sound, len(raw))
        yield raw[at:end], False
        at = end


def _record_at(
    raw: bytes, at: int, whole: Callable[[bytes], bool]
) -> tuple[bytes, int] | None:
    """The record that begins here, and where it ends; None where none does."""
    if raw.startswith(_MAGIC, at):
        if len(raw) < at + HEAD.size:
            return None
        _, length, checksum = HEAD.unpack_from(raw, at)
        start = at + HEAD.size
        logged = raw[start : start + length]
        if crc32(logged, crc32(_LENGTH.pack(length))) != checksum:
            return None
        return (logged, start + length) if whole(logged) else None
    if len(raw) < at + _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(raw, at)
    start = at + _LENGTH.size
    logged = raw[start : start + length]
    if not 0 < length <= _LENGTH_MAX or len(logged) < length or not whole(logged):
        return None
    return logged, start + length
