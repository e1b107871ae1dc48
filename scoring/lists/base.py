"""A list's base: sorted 64-bit hashes and their ends in one file, mapped into memory.

The file is written once, under another name, and never changed: a process that has it
mapped keeps what it mapped, and all processes of a machine share its pages.

    head      magic, count, bits of the index
    index     uint32 (2**bits + 1,): where the hashes with these first bits begin
    hashes    uint64 (count,), rising
    until     int64 (count,), event time in ms until which each is listed
    seal      SHA-256 of everything before it
"""

from __future__ import annotations

import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadArtifact

ROW = np.dtype([("hash", "<u8"), ("until_ms", "<i8")])
COUNT_MAX = 100_000_000  # 1.6 GB mapped; what is larger is a mistake
_HEAD = struct.Struct("<8sQQ40x")  # 64 bytes: what follows lies on a cache line
_MAGIC = b"fsclist1"
_SEAL_BYTES = 32
_HASH_BITS = 64
# About 16 hashes share a place of the index: one or two cache lines to look through.
_PER_PLACE_BITS, _INDEX_BITS_MAX = 4, 22
_PIECE_BYTES = 1 << 20

Get = Callable[[int], int | None]


@dataclass(frozen=True, slots=True)
class Base:
    """The entries of a file; `find` gives the end of a hash, None where it has none."""

    path: Path
    count: int
    find: Get

    def entries(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Every hash, rising, with its end; read into memory."""
        layout = _Layout.of(self.count)
        view = memoryview(self.path.read_bytes())
        hashes = np.frombuffer(view[layout.hashes], "<u8")
        return hashes, np.frombuffer(view[layout.until], "<i8")


def write_base(path: Path, count: int, chunks: Iterable[bytes]) -> None:
    """Write a base from chunks of rows, in order; blocks; appears whole or not at all.

    Raises `BadArtifact` for rows that do not rise or are not `count`, `OSError` where
    the disk does not take it.
    """
    if not 0 <= count <= COUNT_MAX:
        raise BadArtifact(f"{path.name}: count: {count} is not up to {COUNT_MAX}")
    layout = _Layout.of(count)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w+b") as file:
            file.truncate(layout.bytes - _SEAL_BYTES)
            mapped = mmap.mmap(file.fileno(), 0)
            _fill(memoryview(mapped), layout, chunks, name=path.name)
            seal = _digest(mapped)
            file.seek(0, os.SEEK_END)
            file.write(seal)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def open_base(path: Path) -> Base:
    """Map a base, proved whole; blocks some milliseconds for a million entries.

    Raises `BadArtifact` for a file that is missing, cut off or damaged.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise BadArtifact(f"{path}: cannot be read: {error}") from error
    view = memoryview(mapped)
    if len(view) < _HEAD.size + _SEAL_BYTES:
        raise BadArtifact(f"{path}: is cut off")
    magic, count, bits = _HEAD.unpack_from(view)
    layout = _Layout.of(min(count, COUNT_MAX))
    if magic != _MAGIC or bits != layout.bits or len(view) != layout.bytes:
        raise BadArtifact(f"{path}: is no list of this release, or is cut off")
    if _digest(view[:-_SEAL_BYTES]) != bytes(view[-_SEAL_BYTES:]):
        raise BadArtifact(f"{path}: is damaged: its checksum does not fit")
    return Base(path, count, _finder(view, layout))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parts lie in a file of so many entries."""

    count: int
    bits: int
    hashes: slice
    until: slice
    index: slice

    @classmethod
    def of(cls, count: int) -> _Layout:
        bits = min(max(count.bit_length() - _PER_PLACE_BITS, 0), _INDEX_BITS_MAX)
        hashes = _HEAD.size + _padded(4 * (2**bits + 1))
        until = hashes + 8 * count
        return cls(
            count,
            bits,
            slice(hashes, until),
            slice(until, until + 8 * count),
            slice(_HEAD.size, _HEAD.size + 4 * (2**bits + 1)),
        )

    @property
    def bytes(self) -> int:
        return int(self.until.stop) + _SEAL_BYTES


def _padded(size: int) -> int:
    """A size up to the next 64 bytes."""
    return (size + 63) // 64 * 64


def _fill(
    view: memoryview, layout: _Layout, chunks: Iterable[bytes], *, name: str
) -> None:
    _HEAD.pack_into(view, 0, _MAGIC, layout.count, layout.bits)
    hashes = np.frombuffer(view[layout.hashes], "<u8")
    until = np.frombuffer(view[layout.until], "<i8")
    at, last = 0, -1
    for chunk in chunks:
        rows = rows_of(chunk, name=name)
        if at + len(rows) > layout.count or not _rises(rows, last):
            raise BadArtifact(f"{name}: its chunks do not rise, or hold too many rows")
        hashes[at : at + len(rows)] = rows["hash"]
        until[at : at + len(rows)] = rows["until_ms"]
        at, last = at + len(rows), int(rows["hash"][-1]) if len(rows) else last
    if at != layout.count:
        raise BadArtifact(f"{name}: its chunks hold {at} rows, not {layout.count}")
    index = np.frombuffer(view[layout.index], "<u4")
    firsts = np.arange(2**layout.bits, dtype=np.uint64) << np.uint64(
        _HASH_BITS - layout.bits if layout.bits else 0
    )
    index[:-1] = np.searchsorted(hashes, firsts)
    index[-1] = layout.count


def rows_of(chunk: bytes, *, name: str) -> NDArray[np.void]:
    """The rows of a chunk; raises `BadArtifact` where it ends within one."""
    if len(chunk) % ROW.itemsize:
        raise BadArtifact(f"{name}: a chunk of {len(chunk)} bytes ends within a row")
    return np.frombuffer(chunk, ROW)


def _rises(rows: NDArray[np.void], last: int) -> bool:
    """Whether each hash is above the one before it; the first above `last`."""
    hashes = rows["hash"]
    if not len(hashes):
        return True
    return int(hashes[0]) > last and bool(np.all(hashes[1:] > hashes[:-1]))


def _digest(view: memoryview | mmap.mmap) -> bytes:
    digest = sha256()
    for start in range(0, len(view), _PIECE_BYTES):
        digest.update(view[start : start + _PIECE_BYTES])
    return digest.digest()


def _finder(view: memoryview, layout: _Layout) -> Get:
    """The look-up: about 5 comparisons, however many entries there are.

    Plain memoryviews and `bisect`: numpy costs more for one number than it saves.
    """
    index = view[layout.index].cast("I")
    hashes = view[layout.hashes].cast("Q")
    until = view[layout.until].cast("q")
    shift, count = _HASH_BITS - layout.bits, layout.count

    def find(hashed: int) -> int | None:
        place = hashed >> shift
        end = index[place + 1]
        at = bisect_left(hashes, hashed, index[place], end)
        return until[at] if at < end and hashes[at] == hashed else None

    return find if count else lambda _: None
