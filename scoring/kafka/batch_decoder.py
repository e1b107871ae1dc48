"""Reads whatever a batch may hold: bounded in memory, and never an end of the reading.

aiokafka inflates a batch whole, however large it becomes, and gives up for good at a
header whose name is not UTF-8. Two names of aiokafka 0.14 are replaced in one place
(`install`); tests/unit/kafka/test_batch_decoder.py holds each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from scoring.kafka.decompression import TooLarge, inflate

# Of one partition's poll, so that few large records do not weigh as many.
POLL_BYTES_MAX = 8_388_608
# Before the records: offset, length, epoch, magic, CRC, attributes, last offset delta,
# first and largest time, producer's id and epoch, sequence, count.
_HEAD = struct.Struct(">qiibIhiqqqhii")
_LOG_OVERHEAD = 12
_MAGIC_AT, _MAGIC = 16, 2
_CODECS, _BY_BROKER, _CONTROL = 0x07, 0x08, 0x20


class Unread(bytes):
    """In place of a value that was not read; `why` says so in a sentence."""

    why: str

    @classmethod
    def because(cls, why: str) -> Unread:
        """The value of a record in place of what could not be read."""
        unread = cls()
        unread.why = why
        return unread


class Renamed(str):
    """A header's name whose bytes are no UTF-8, so shown as `\\xff`."""

    __slots__ = ()


class Record(NamedTuple):
    """One record, as aiokafka's own has it."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    checksum: int | None = None


class BoundedRecords:
    """The batches of one fetched partition; replaces aiokafka's `MemoryRecords`."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = memoryview(fetched)
        self._next: memoryview | None = None
        self._at = 0
        self._advance()

    def _advance(self) -> None:
        self._next = None
        rest = self._fetched[self._at :]
        if len(rest) >= _LOG_OVERHEAD:
            size = _LOG_OVERHEAD + int.from_bytes(rest[8:_LOG_OVERHEAD], "big")
            if size <= len(rest):  # a broker may cut the last batch off
                self._next = rest[:size]
                self._at += size

    def size_in_bytes(self) -> int:
        """How much was fetched."""
        return len(self._fetched)

    def has_next(self) -> bool:
        """Whether another whole batch is there."""
        return self._next is not None

    def next_batch(self) -> Any:
        """The next batch, of whichever format."""
        raw = self._next
        assert raw is not None
        self._advance()
        if raw[_MAGIC_AT] < _MAGIC:
            return LegacyRecordBatch(raw, raw[_MAGIC_AT])
        batch = DefaultRecordBatch(raw)
        return batch if batch.is_control_batch else BoundedBatch(batch, raw)


class BoundedBatch:
    """One batch of format 2, with all that aiokafka asks of its own."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch, self._raw = batch, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        codec = self._batch.attributes & _CODECS
        try:
            plain = _plain(self._raw, codec) if codec else self._raw
        except TooLarge as error:
            yield self._unread(str(error))
            return
        given = 0
        try:
            for record in DefaultRecordBatch(plain) if codec else self._batch:
                yield record
                given += 1
        except Exception:  # noqa: BLE001 - it is read again by those who take anything
            yield from self._anyhow(plain, given)

    def _anyhow(self, plain: memoryview | bytes, given: int) -> Iterator[Record]:
        """The records that aiokafka cannot read, behind those that it could."""
        records = records_of(plain)
        try:
            for n, record in enumerate(records):
                if n >= given:
                    yield record
                    given += 1
        except (IndexError, ValueError):
            yield self._unread("the batch is damaged", given)

    def _unread(self, why: str, given: int = 0) -> Record:
        first, last = self._batch.base_offset + given, self._batch.next_offset - 1
        where = f"offset {first}" if first == last else f"offsets {first} to {last}"
        return Record(
            first,
            self._batch.max_timestamp,
            self._batch.timestamp_type,
            None,
            Unread.because(f"{why}: {where} not read"),
            (),
        )


def _plain(raw: memoryview, codec: int) -> bytes:
    """The batch as it was before compression; raises `TooLarge`."""
    head = list(_HEAD.unpack_from(raw))
    inflated = inflate(raw[_HEAD.size :], codec)
    head[1] = _HEAD.size - _LOG_OVERHEAD + len(inflated)
    head[5] &= ~_CODECS
    return _HEAD.pack(*head) + inflated


def records_of(plain: memoryview | bytes) -> Iterator[Record]:
    """The records of an uncompressed batch, whatever their headers are named.

    Bytes that are no UTF-8 are shown as `\\xff`. Raises `ValueError` or `IndexError`
    for a batch that is damaged.
    """
    head = _HEAD.unpack_from(plain)
    base, attributes, first_ms, largest_ms, count = (
        head[0], head[5], head[7], head[8], head[12],
    )  # fmt: skip
    by_broker = bool(attributes & _BY_BROKER)
    reader = _Reader(plain, _HEAD.size)
    for _ in range(count):
        end = reader.varint() + reader.at
        reader.at += 1  # the record's attributes, which mean nothing yet
        at_ms = first_ms + reader.varint()
        offset = base + reader.varint()
        key, value = reader.bytes_or_none(), reader.bytes_or_none()
        headers = tuple(reader.header() for _ in range(reader.varint()))
        if reader.at != end:
            raise ValueError("a record is not as long as it says")
        yield Record(
            offset,
            largest_ms if by_broker else at_ms,
            int(by_broker),
            key,
            value,
            headers,
        )


class _Reader:
    """Reads numbers and bytes, one after the other."""

    def __init__(self, raw: memoryview | bytes, at: int) -> None:
        self.raw, self.at = raw, at

    def varint(self) -> int:
        """A signed number, zigzag."""
        number = shift = 0
        while True:
            byte = self.raw[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004
                return number >> 1 ^ -(number & 1)
            shift += 7

    def bytes_or_none(self) -> bytes | None:
        """Bytes behind their length; -1 says that there are none."""
        size = self.varint()
        if size < 0:
            return None
        taken = bytes(self.raw[self.at : self.at + size])
        if len(taken) < size:
            raise ValueError("cut off")
        self.at += size
        return taken

    def header(self) -> tuple[str, bytes | None]:
        """A name and its value."""
        raw = self.bytes_or_none() or b""
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            name = Renamed(raw.decode(errors="backslashreplace"))
        return name, self.bytes_or_none()


class BoundedResult(fetcher.FetchResult):  # type: ignore[misc]
    """A fetched partition whose records are handed over a few megabytes at a time."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """What the consumer's poll takes of it."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        taken: list[Any] = []
        size = 0
        for record in self._partition_records:
            taken.append(record)
            size += max(record.serialized_value_size, 0)
            if size >= POLL_BYTES_MAX or len(taken) == max_records:
                self._update_position()
                break
        else:
            self._update_position()
            self._partition_records = None
        return taken


def install() -> None:
    """Have every consumer of this process read by the classes above."""
    fetcher.MemoryRecords = BoundedRecords
    fetcher.FetchResult = BoundedResult
