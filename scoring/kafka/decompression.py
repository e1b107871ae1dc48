"""Undoes a batch's compression, within a bound on memory."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from typing import Any

import cramjam

# A producer's batch has some 16 kB to 1 MB before it is compressed; memory is taken
# in these steps, and what needs more than the last is told apart unread.
_STEPS = (262_144, 4_194_304, 67_108_864)
INFLATED_BYTES_MAX = _STEPS[-1]
_GZIP, _SNAPPY, _LZ4, _ZSTD = range(1, 5)
_WBITS = 31  # zlib's word for gzip
_XERIAL, _XERIAL_HEAD = b"\x82SNAPPY\x00", 16


class TooLarge(Exception):
    """It inflates to more than is held in memory, or to nothing."""


def inflate(packed: memoryview, codec: int) -> bytes:
    """Undo a codec within `INFLATED_BYTES_MAX`; raises `TooLarge`."""
    try:
        if codec == _GZIP:
            return _gunzipped(packed)
        if codec == _SNAPPY:
            return _unsnapped(packed)
        into = {_LZ4: cramjam.lz4, _ZSTD: cramjam.zstd}[codec].decompress_into
        return _stepped(partial(into, bytes(packed)))
    except (KeyError, ValueError, zlib.error, struct.error) as error:
        raise TooLarge(f"the batch cannot be inflated by codec {codec}") from error


def _stepped(into: Any) -> bytes:
    for size in _STEPS:
        room = bytearray(size)
        try:
            filled = into(room)
        except cramjam.DecompressionError:
            continue
        return bytes(memoryview(room)[:filled])
    raise TooLarge(_too_large())


def _gunzipped(packed: memoryview) -> bytes:
    """Every member of a gzip stream."""
    out = bytearray()
    rest: bytes | memoryview = packed
    while rest:
        member = zlib.decompressobj(_WBITS)
        out += member.decompress(rest, INFLATED_BYTES_MAX + 1 - len(out))
        if len(out) > INFLATED_BYTES_MAX:
            raise TooLarge(_too_large())
        if not member.eof:
            raise ValueError("cut off")
        rest = member.unused_data
    return bytes(out)


def _unsnapped(packed: memoryview) -> bytes:
    """One block, or the framed blocks of the Java library; each says its length."""
    if bytes(packed[: len(_XERIAL)]) != _XERIAL:
        return _block(packed, INFLATED_BYTES_MAX)
    out, at = bytearray(), _XERIAL_HEAD
    while at < len(packed):
        (size,) = struct.unpack_from(">i", packed, at)
        out += _block(packed[at + 4 : at + 4 + size], INFLATED_BYTES_MAX - len(out))
        at += 4 + max(size, 0)
    return bytes(out)


def _block(packed: memoryview, most: int) -> bytes:
    block = bytes(packed)
    try:
        if cramjam.snappy.decompress_raw_len(block) > most:
            raise TooLarge(_too_large())
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise ValueError("no snappy block") from error


def _too_large() -> str:
    return f"the batch inflates to more than {INFLATED_BYTES_MAX} bytes, or to none"
