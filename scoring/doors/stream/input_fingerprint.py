"""Which input an output answers: its offset, and a fingerprint of all it said.

An offset alone proves nothing: a topic that was made again, or a mirrored one, has
other records under the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from scoring.wire.card_number_masking import without_card_digits

_OFFSET, _PRINT, _ID = "src", "src-print", "transaction-id"
_PRINT_BYTES = 8
_OFFSET_DIGITS_MAX = 19  # of a 64-bit number


def fingerprint(record: Any, *, of_letter: bool = False) -> int:
    """64 bits of all that a record says: key, value and headers.

    `of_letter` leaves card digits out. The letter of the record is beside it, and
    a hash of the digits would tell them; what was decided has none.

    >>> from types import SimpleNamespace as Record
    >>> one = fingerprint(Record(key=b"a", value=b"bc", headers=()))
    >>> one == fingerprint(Record(key=b"ab", value=b"c", headers=()))
    False
    """
    key, value = record.key, record.value
    sizes = [b"%d %d" % (_size(key), _size(value))]
    parts = [key, value]
    for name, said in record.headers:
        raw = name.encode()
        sizes.append(b"%d %d" % (len(raw), _size(said)))
        parts += (raw, said)
    bare = [part for part in parts if part]
    if of_letter:
        bare = [without_card_digits(part) for part in bare]
    digest = blake2b(b"\0".join(sizes + bare), digest_size=_PRINT_BYTES).digest()
    return int.from_bytes(digest, "big")


def _size(part: bytes | None) -> int:
    return -1 if part is None else len(part)


def source_headers(
    record: Any, *, of_letter: bool = False
) -> tuple[tuple[str, bytes], ...]:
    """What an output says of the input that it answers."""
    return (
        (_OFFSET, b"%d" % record.offset),
        (_PRINT, b"%016x" % fingerprint(record, of_letter=of_letter)),
    )


def in_place(print_: int, offset: int) -> int:
    """A fingerprint at one offset: of two equal records it means one.

    >>> in_place(7, 1) == in_place(7, 2)
    False
    """
    return (print_ + (offset + 1) * 0x9E3779B97F4A7C15) % 2**64


def answered(headers: Iterable[tuple[str, bytes | None]]) -> tuple[int, int | None]:
    """The offset and the fingerprint that an output answers; -1 where none is said.

    Whoever else writes to the topic may say anything under these names.

    >>> answered([("src", b"7")]), answered([("src", None)])
    ((7, None), (-1, None))
    """
    offset, print_ = -1, None
    for name, value in headers:
        if name == _OFFSET and value and value.isdigit():
            offset = int(value) if len(value) <= _OFFSET_DIGITS_MAX else -1
        elif name == _PRINT and value:
            print_ = _print_of(value)
    return offset, print_


def _print_of(value: bytes) -> int | None:
    if len(value) != 2 * _PRINT_BYTES:
        return None
    try:
        return int(value, 16)
    except ValueError:
        return None


def named(headers: Iterable[tuple[str, bytes | None]]) -> bytes | None:
    """The transaction id that an output's headers name."""
    return next((value for name, value in headers if name == _ID), None)
