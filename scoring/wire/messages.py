"""Bytes and canonical JSON to protobuf messages, times, and single fields."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet

from scoring.errors import InvalidTransaction
from scoring.wire.json_text import message_from_json

M = TypeVar("M", bound=Message)
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
# The last instant that a Timestamp can say: the end of the year 9999.
TIMESTAMP_MS_MAX = 253_402_300_799_999
_MS_PER_S = 1_000
_NS_PER_MS = 1_000_000
_HEADS_MAX = 8_192  # pairs of field number and length remembered


def message_from_bytes(raw: bytes, kind: type[M], content_type: str) -> M:
    """Parse one message; raises `InvalidTransaction` for bytes that are not it.

    Unknown fields are refused: what we cannot read we cannot hash.
    """
    if content_type == JSON:
        return message_from_json(raw, kind)
    if content_type != PROTOBUF:
        raise InvalidTransaction("content-type", f"must be {PROTOBUF} or {JSON}")
    message = kind()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise InvalidTransaction("", f"the bytes are not a {_name(kind)}") from error
    return message


def _name(kind: type[Message]) -> str:
    return str(kind.DESCRIPTOR.full_name)


def refuse_unknown_fields(message: Message, path: str = "") -> None:
    """Raise `InvalidTransaction` when a message carries fields we do not know.

    Of this message alone: each message within it is asked for itself, where it is
    read. (A map's entry that holds one is a field of its message that we do not know.)
    """
    if len(UnknownFieldSet(message)):
        number = UnknownFieldSet(message)[0].field_number
        raise InvalidTransaction(
            path or "transaction", f"has field {number}, which this version lacks"
        )


def required_ms(message: Message, field: str) -> int:
    """The time in a field that a caller must set; raises `InvalidTransaction`."""
    if not message.HasField(field):
        raise InvalidTransaction(field, "is required")
    timestamp = getattr(message, field)
    refuse_unknown_fields(timestamp, field)
    return ms_from_timestamp(timestamp)


def ms_from_timestamp(timestamp: Timestamp) -> int:
    """Milliseconds since 1970, truncated.

    >>> ms_from_timestamp(Timestamp(seconds=1, nanos=2_999_999))
    1002
    """
    return timestamp.seconds * _MS_PER_S + timestamp.nanos // _NS_PER_MS


def timestamp_from_ms(ms: int) -> Timestamp:
    """Milliseconds since 1970 as a protobuf timestamp."""
    seconds, rest = divmod(ms, _MS_PER_S)
    return Timestamp(seconds=seconds, nanos=rest * _NS_PER_MS)


def text_from_ms(ms: int) -> str:
    """ISO 8601 in UTC, for people.

    >>> text_from_ms(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(ms / _MS_PER_S, UTC).isoformat()


def field_to_bytes(number: int, content: bytes) -> bytes:
    """One length-delimited protobuf field (number below 16).

    >>> field_to_bytes(1, b"ab")
    b'\\n\\x02ab'
    """
    return _head_to_bytes(number, len(content)) + content


@lru_cache(maxsize=_HEADS_MAX)
def _head_to_bytes(number: int, length: int) -> bytes:
    return bytes((number << 3 | 2,)) + varint_to_bytes(length)


def varint_to_bytes(number: int) -> bytes:
    """Encode a non-negative number as a protobuf varint.

    >>> varint_to_bytes(300)
    b'\\xac\\x02'
    """
    if number <= 0x7F:  # noqa: PLR2004
        return bytes((number,))
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
