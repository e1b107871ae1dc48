"""Inputs that could not be judged, kept with everything needed to judge them again."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from google.protobuf import json_format

from scoring import wire
from scoring.core.transaction.trace_context import TRACE_HEADERS
from scoring.doors.stream.input_fingerprint import source_headers
from scoring.errors import (
    CardNumberRefused,
    InvalidTransaction,
    RecordRefused,
    ScoringError,
    TransactionConflict,
    UnknownTransaction,
)
from scoring.kafka.batch_decoder import Renamed, Unread
from scoring.kafka.cloud_events import DEAD_LETTER, event_headers, refused_headers
from scoring.kafka.record_values import Malformed, Oversize, UnknownType, receipt_ms
from scoring.ports.events import Event
from scoring.ports.log import LogRecord
from scoring.ports.telemetry import Telemetry
from scoring.v1 import transaction_pb2
from scoring.wire.card_number_masking import Shown, shown

VALUE_BYTES_MAX = 65_536  # of an oversize record
RECORD_BYTES_MAX = 1_000_000  # Kafka's own default is a little more
_AROUND_BYTES = 3_072  # a record's headers, and what a batch says of itself
_RUN_BYTES = 64  # the longest card number with its separators


# The first that fits wins: a card number is an invalid transaction, too.
_REASONS: tuple[tuple[type[ScoringError], str], ...] = (
    (CardNumberRefused, "CARD_NUMBER"),
    (InvalidTransaction, "INVALID"),
    (TransactionConflict, "CONFLICT"),
    (Malformed, "MALFORMED"),
    (Oversize, "OVERSIZE"),
    (UnknownType, "UNKNOWN_TYPE"),
    (UnknownTransaction, "UNKNOWN_TRANSACTION"),
    (RecordRefused, "REFUSED"),
)


def is_refusal(error: ScoringError) -> bool:
    """Whether an error means the input's fault, so that a dead letter answers it."""
    return any(isinstance(error, kind) for kind, _ in _REASONS)


def dead_letter(record: Any, error: ScoringError) -> transaction_pb2.DeadLetter:
    """The letter for one record; card digits are overwritten wherever they stand."""
    value = record.value or b""
    most = VALUE_BYTES_MAX if isinstance(error, Oversize) else len(value)
    # Looked at beyond the cut, so that none leaves half a card number.
    told, key = shown(value[: most + _RUN_BYTES]), shown(record.key or b"")
    letter = transaction_pb2.DeadLetter(
        reason=_reason(error),
        field=error.field,
        message=getattr(error, "message", None) or str(error),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=wire.timestamp_from_ms(receipt_ms(record)),
        key=key.raw,
        value=told.raw[:most],
        value_size_bytes=len(value),
        # A hash of a card number would give the number away.
        value_sha256=b"" if _hides(told) else sha256(value).digest(),
        masked=told.masked or key.masked,
        cut=len(value) > most or isinstance(record.value, Unread),
    )
    letter.cut |= told.withheld or key.withheld
    if told.withheld:
        letter.message += (
            f"; its value of {len(value)} bytes is not shown: it cannot be proved to "
            "hold no card number"
        )
    for name, content in record.headers:
        _add_header(letter, name, content or b"")
    return letter


def _hides(told: Shown) -> bool:
    return told.masked or told.withheld


def _add_header(letter: transaction_pb2.DeadLetter, name: str, content: bytes) -> None:
    known = name.lower() in TRACE_HEADERS
    title, value = shown(name.encode()), Shown(content) if known else shown(content)
    letter.headers.add(key=title.raw.decode(errors="replace"), value=value.raw)
    letter.masked |= title.masked or value.masked
    letter.cut |= isinstance(name, Renamed) or title.withheld or value.withheld


def _reason(error: ScoringError) -> transaction_pb2.DeadLetterReason.ValueType:
    name = next(name for kind, name in _REASONS if isinstance(error, kind))
    return transaction_pb2.DeadLetterReason.Value(f"DEAD_LETTER_REASON_{name}")


def letter_record(
    record: Any,
    error: ScoringError,
    *,
    topic: str,
    content_type: str,
    bytes_max: int = RECORD_BYTES_MAX,
) -> LogRecord:
    """The record of a dead-letter topic: same partition, same source header.

    It has at most `bytes_max`, which is what the topic takes: what does not fit is
    cut off, and the letter says so.
    """
    letter = dead_letter(record, error)
    value = _fitted(letter, content_type, bytes_max)
    source = source_headers(record, of_letter=True)
    place = f"{record.partition}@{record.offset}"
    return LogRecord(
        topic=topic,
        key=letter.key or None,
        value=value,
        headers=(
            ("content-type", content_type.encode()),
            *source,
            *event_headers(
                DEAD_LETTER,
                topic,
                # The place alone is another record's once a topic was made again.
                id_=f"{place}:{source[-1][1].decode()}",
                at_ms=receipt_ms(record),
                subject=f"{record.topic}/{place}",
            ),
        ),
        partition=record.partition,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterWriter:
    """Writes the dead letters of one topic, and counts them.

    `source` is the plain name of its inputs' topic; `bytes_max` is the most that the
    topic takes in a record.
    """

    source: str
    topic: str
    content_type: str
    telemetry: Telemetry
    bytes_max: int = RECORD_BYTES_MAX

    def letter(self, record: Any, error: ScoringError) -> LogRecord:
        """The letter that answers one input."""
        self.telemetry.count(Event.DEAD_LETTER)
        self.telemetry.dead_letter(self.source, error.code)
        return letter_record(
            record,
            error,
            topic=self.topic,
            content_type=self.content_type,
            bytes_max=min(self.bytes_max, RECORD_BYTES_MAX),
        )


def refusal_record(
    record: LogRecord,
    error: RecordRefused,
    *,
    topic: str,
    content_type: str,
    bytes_max: int = RECORD_BYTES_MAX,
) -> LogRecord:
    """The letter of a record of ours that the log refuses; it answers no input."""
    refused = _Refused(
        topic=record.topic,
        partition=-1 if record.partition is None else record.partition,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )
    letter = dead_letter(refused, error)
    value = _fitted(letter, content_type, bytes_max)
    named = tuple(h for h in record.headers if h[0] == "transaction-id")
    return LogRecord(
        topic=topic,
        key=letter.key or None,
        value=value,
        headers=(
            ("content-type", content_type.encode()),
            *named,
            *refused_headers(record.headers, topic),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """A record of ours, as one that was read; it never had an offset or a time."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    offset: int = -1
    timestamp: int = -1


def _fitted(
    letter: transaction_pb2.DeadLetter, content_type: str, bytes_max: int
) -> bytes:
    """The letter's bytes, cut until they fit; it says itself that it was cut."""
    while True:
        value = _written(letter, content_type)
        beyond = len(value) + len(letter.key) + _AROUND_BYTES - bytes_max
        if beyond <= 0 or not _shortened(letter, beyond):
            return value


def _written(letter: transaction_pb2.DeadLetter, content_type: str) -> bytes:
    if content_type == wire.JSON:
        return json_format.MessageToJson(letter, indent=None).encode()
    return letter.SerializeToString(deterministic=True)


def _shortened(letter: transaction_pb2.DeadLetter, beyond: int) -> bool:
    """Cut some of the largest part off; False where nothing is left to be cut."""
    headers_bytes = sum(h.ByteSize() for h in letter.headers)
    parts = (len(letter.value), len(letter.key), headers_bytes)
    largest = max(parts)
    if largest == 0:
        return False
    letter.cut = True
    # JSON takes more for a byte; what is needed in the end is found step by step.
    keep = max(0, largest - max(beyond, largest // 8))
    if largest == parts[0]:
        letter.value = letter.value[:keep]
    elif largest == parts[1]:
        letter.key = letter.key[:keep]
    else:
        kept = list(letter.headers)[: len(letter.headers) * 7 // 8]
        del letter.headers[len(kept) :]
    return True
