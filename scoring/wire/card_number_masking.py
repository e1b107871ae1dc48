"""Bytes of others as they may be written: card digits overwritten, and proved clean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from scoring.core.transaction.card_number import (
    holds_card_number,
    masked,
    may_hold_card_number,
)
from scoring.wire.framing import unframed

# What is longer is not looked at, and not shown.
_BYTES_MAX = 300_000
_DEPTH_MAX = 16
_VARINT_BYTES_MAX = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types
_CONTROL = frozenset(map(chr, range(32))) - frozenset("\t\n\r\f")
_DIGITS_GONE = bytes(48 if byte in b"0123456789" else byte for byte in range(256))


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be written of some bytes.

    `masked` where digits were overwritten; `withheld` where nothing of them is shown,
    since they cannot be proved to hold no card number.
    """

    raw: bytes
    masked: bool = False
    withheld: bool = False


def shown(raw: bytes) -> Shown:
    """Look at bytes as every text that they may be: plain, JSON's, a message's.

    >>> shown(b"tok_1").raw
    b'tok_1'
    >>> shown(b'{"card": "4111 1111 1111 1111 12/25"}').raw
    b'{"card": "XXXX XXXX XXXX XXXX 12/25"}'
    """
    if not _suspicious(raw):
        return Shown(raw)
    if len(raw) > _BYTES_MAX:
        return Shown(b"", withheld=True)
    if not any(map(holds_card_number, _texts(raw))):
        return Shown(raw) if _provable(raw) else Shown(b"", withheld=True)
    hidden = _masked_message(masked(raw)[0])
    if any(map(holds_card_number, _texts(hidden))) or not _provable(hidden):
        return Shown(b"", withheld=True)
    return Shown(hidden, masked=True)


def hides_card_number(raw: bytes) -> bool:
    """Whether one of the texts that the bytes may be holds a card number.

    >>> hides_card_number("4111111111111111".encode("utf-16")), hides_card_number(b"t")
    (True, False)
    """
    if not _suspicious(raw):
        return False
    return len(raw) > _BYTES_MAX or any(map(holds_card_number, _texts(raw)))


def without_card_digits(raw: bytes) -> bytes:
    """What a fingerprint may be made of: no digit where a card number is.

    >>> without_card_digits(b"t-1"), without_card_digits(b"4111111111111111")
    (b't-1', b'0000000000000000')
    """
    if not _suspicious(raw):
        return raw
    told = shown(raw)
    return raw.translate(_DIGITS_GONE) if told.masked or told.withheld else raw


def _suspicious(raw: bytes) -> bool:
    """False for nearly all: no run of digits, however it is written, is long enough."""
    return may_hold_card_number(raw.decode(errors="surrogateescape"))


def _provable(raw: bytes) -> bool:
    """Whether the bytes are a text or a message, or hold too few digits to matter.

    What has control characters is no text: one before a digit may be a length, and
    the digit a part of it.
    """
    if not _suspicious(raw) or next(_message_parts(raw), None) is not None:
        return True
    try:
        return _CONTROL.isdisjoint(raw.decode())
    except UnicodeDecodeError:
        return False


def _texts(raw: bytes) -> Iterator[str]:
    text = raw.decode(errors="surrogateescape")
    yield text
    if "\0" in text:  # two bytes a character
        yield text.replace("\0", "")
    yield from _json_texts(raw)
    for start, end in _message_parts(raw):
        yield raw[start:end].decode(errors="surrogateescape")


def _json_texts(raw: bytes) -> Iterator[str]:
    try:
        yield from _scalars(json.loads(raw))
    except (ValueError, RecursionError):
        return


def _scalars(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _scalars(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _scalars(inner)
    else:
        yield str(value)


def _masked_message(raw: bytes) -> bytes:
    """The bytes with what is in the texts of a message overwritten in place."""
    hidden = bytearray(raw)
    for start, end in _message_parts(raw):
        part, found = masked(bytes(hidden[start:end]))
        if found and len(part) == end - start:
            hidden[start:end] = part
    return bytes(hidden)


def _message_parts(raw: bytes) -> Iterator[tuple[int, int]]:
    """Where the texts and bytes of a protobuf message are; none if it is not one."""
    start = len(raw) - len(unframed(raw))
    try:
        yield from list(_parts(memoryview(raw), start, len(raw), 0))
    except (IndexError, ValueError):
        return


def _parts(raw: memoryview, at: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
    while at < end:
        tag, at = _varint(raw, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(raw, at)
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            size, at = _varint(raw, at)
        if size is None or at + size > end or not tag >> 3:
            raise ValueError("not a message")
        if kind == _BYTES:
            yield at, at + size
            if depth < _DEPTH_MAX:
                yield from _inner(raw, at, at + size, depth + 1)
        at += size


def _inner(raw: memoryview, at: int, end: int, depth: int) -> list[tuple[int, int]]:
    """The parts of a text that is a message itself; none if it is not one."""
    try:
        return list(_parts(raw, at, end, depth))
    except (IndexError, ValueError):
        return []


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for place in range(_VARINT_BYTES_MAX):
        byte = raw[at + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            return number, at + place + 1
    raise ValueError("not a message")
