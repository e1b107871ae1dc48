"""What a record's value is: unframed, its content type, the message in it."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from google.protobuf.message import Message

from scoring import wire
from scoring.errors import ScoringError
from scoring.kafka import batch_decoder
from scoring.wire.messages import TIMESTAMP_MS_MAX

batch_decoder.install()  # whoever reads values takes batches as they are

_OPENS_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\{")
_SAYS_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json(;charset=\"?utf-8)?")
M = TypeVar("M", bound=Message)


class Oversize(ScoringError):
    """A record larger than one message may be."""


class UnknownType(ScoringError):
    """A content type, or a version of it, that is not known here."""


class Malformed(ScoringError):
    """Bytes that are not the declared message."""


def opened(record: Any) -> tuple[bytes, str]:
    """A record's value, without the frame of a schema registry, and what it is.

    Raises `Malformed` for a record without a value, `Oversize` for one that was not
    read, `UnknownType`: all of them a `ScoringError`.
    """
    if isinstance(record.value, batch_decoder.Unread):
        raise Oversize(record.value.why)
    if record.value is None:
        raise Malformed("the record has no value")
    return wire.unframed(record.value), content_type_of(record)


def message_in(record: Any, kind: type[M]) -> M | None:
    """The message of a record; None where it is not one of this kind."""
    try:
        value, content_type = opened(record)
        return wire.message_from_bytes(value, kind, content_type)
    except ScoringError:
        return None


def content_type_of(record: Any) -> str:
    """What a record's value is; raises `UnknownType`.

    Without a header, or with an empty one, a value that opens with a brace is JSON:
    no Transaction and no Label begins so in protobuf. Spring's JSON serialisers put
    the type into quotes.
    """
    declared = header_of(record, "content-type")
    if not declared:
        json = _OPENS_JSON.match(wire.unframed(record.value))
        return wire.JSON if json else wire.PROTOBUF
    name = declared.decode("latin-1").lower().replace(" ", "").strip('"')
    if name == wire.PROTOBUF:
        return name
    if _SAYS_JSON.fullmatch(name):
        return wire.JSON
    raise UnknownType(
        f"the content type is not known here; send {wire.PROTOBUF} or {wire.JSON}"
    )


def transaction_id_of(record: Any) -> bytes | None:
    """The id in a transaction's record; None where it is none."""
    try:
        value, content_type = opened(record)
        return wire.transaction_from_bytes(value, content_type=content_type).id.encode()
    except ScoringError:
        return None


def header_of(record: Any, name: str) -> bytes | None:
    """The first header of a name."""
    for key, value in record.headers:
        if key == name:
            return bytes(value or b"")
    return None


def receipt_ms(record: Any) -> int:
    """A record's timestamp, within what can be written down.

    It may be the producer's own, and then be anything; without one it is -1.

    >>> from types import SimpleNamespace
    >>> receipt_ms(SimpleNamespace(timestamp=2**62)) == TIMESTAMP_MS_MAX
    True
    """
    return int(min(max(record.timestamp, 0), TIMESTAMP_MS_MAX))
