"""The frame that schema-registry clients put around a value, and its removal.

A zero byte, the schema's id in four bytes, and, before protobuf, the path to the
message within its file, as zigzag varints after their count; then the value.
"""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor

from scoring.wire.messages import varint_to_bytes

_MAGIC = b"\0"
_HEAD_BYTES = 5
_PATH_MAX = 16  # messages nest no deeper


def frame_of(schema_id: int, message: Descriptor | None = None) -> bytes:
    """What is before a value; `message` is None where the value is JSON.

    The first message of a file has the short path, a single zero.

    >>> frame_of(258)
    b'\\x00\\x00\\x00\\x01\\x02'
    """
    head = _MAGIC + schema_id.to_bytes(4, "big")
    if message is None:
        return head
    place = list(message.file.message_types_by_name).index(message.name)
    if place == 0:
        return head + b"\0"
    # Zigzag doubles what is not negative: one step, then its place.
    return head + varint_to_bytes(2) + varint_to_bytes(2 * place)


def unframed(value: bytes) -> bytes:
    """The value without its frame; as it is where it has none.

    No protobuf message and no JSON begins with a zero byte. The schema's id is not
    looked up: what counts is whether the bytes are the message.

    >>> unframed(b'\\x00\\x00\\x00\\x01\\x02{"id": "t1"}')
    b'{"id": "t1"}'
    >>> unframed(b'\\x00\\x00\\x00\\x01\\x02\\x02\\x06' + b'\\x12\\x02t1')
    b'\\x12\\x02t1'
    >>> unframed(b'{}'), unframed(b'\\x00')
    (b'{}', b'\\x00')
    """
    if value[:1] != _MAGIC or len(value) < _HEAD_BYTES:
        return value
    if value[_HEAD_BYTES : _HEAD_BYTES + 1] == b"{":
        return value[_HEAD_BYTES:]
    doubled, at = _varint(value, _HEAD_BYTES)
    if doubled % 2 or doubled > 2 * _PATH_MAX:
        return value
    for _ in range(doubled // 2):
        _, at = _varint(value, at)
    return value[at:]


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """One varint and the place behind it; a cut one reads as if zeros followed."""
    number, shift = 0, 0
    while at < len(raw):
        byte = raw[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            break
        shift += 7
    return number, at
