"""Inputs that could not be judged, kept with everything needed to judge them again."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from google.protobuf import json_format

from scoring import wire
from scoring.adapters.kafka_intake import (
    Malformed,
    Oversize,
    UnknownType,
    receipt_ms,
)
from scoring.adapters.kafka_source import source_headers
from scoring.core.card_number import masked
from scoring.errors import (
    CardNumberRefused,
    InvalidTransaction,
    ScoringError,
    TransactionConflict,
    UnknownTransaction,
)
from scoring.ports import LogRecord
from scoring.v1 import transaction_pb2

VALUE_BYTES_MAX = 65_536  # of an oversize record
_KEY_BYTES_MAX = 4_096
_HEADERS_MAX = 32
_HEADER_BYTES_MAX = 1_024


# The first that fits wins: a card number is an invalid transaction, too.
_REASONS: tuple[tuple[type[ScoringError], str], ...] = (
    (CardNumberRefused, "CARD_NUMBER"),
    (InvalidTransaction, "INVALID"),
    (TransactionConflict, "CONFLICT"),
    (Malformed, "MALFORMED"),
    (Oversize, "OVERSIZE"),
    (UnknownType, "UNKNOWN_TYPE"),
    (UnknownTransaction, "UNKNOWN_TRANSACTION"),
)


def is_refusal(error: ScoringError) -> bool:
    """Whether an error means the input's fault, so that a dead letter answers it."""
    return any(isinstance(error, kind) for kind, _ in _REASONS)


def dead_letter(record: Any, error: ScoringError) -> transaction_pb2.DeadLetter:
    """The letter for one record; card digits are overwritten wherever they stand."""
    value = record.value or b""
    shown, value_masked = masked(value)
    key, key_masked = masked((record.key or b"")[:_KEY_BYTES_MAX])
    letter = transaction_pb2.DeadLetter(
        reason=_reason(error),
        field=getattr(error, "field", ""),
        message=getattr(error, "message", None) or str(error),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=wire.timestamp_from_ms(receipt_ms(record)),
        key=key,
        value=shown[:VALUE_BYTES_MAX] if isinstance(error, Oversize) else shown,
        value_size_bytes=len(value),
        # A hash of a bare card number would give the number away.
        value_sha256=b"" if value_masked else sha256(value).digest(),
        masked=value_masked or key_masked,
    )
    for name, content in record.headers[:_HEADERS_MAX]:
        shown_name, name_masked = masked(name.encode()[:_HEADER_BYTES_MAX])
        shown, header_masked = masked((content or b"")[:_HEADER_BYTES_MAX])
        letter.headers.add(key=shown_name.decode(errors="replace"), value=shown)
        letter.masked |= name_masked or header_masked
    return letter


def _reason(error: ScoringError) -> transaction_pb2.DeadLetterReason.ValueType:
    name = next(name for kind, name in _REASONS if isinstance(error, kind))
    return transaction_pb2.DeadLetterReason.Value(f"DEAD_LETTER_REASON_{name}")


def letter_record(
    record: Any, error: ScoringError, *, topic: str, content_type: str
) -> LogRecord:
    """The record of a dead-letter topic: same partition, same source header."""
    letter = dead_letter(record, error)
    value = letter.SerializeToString(deterministic=True)
    if content_type == wire.JSON:
        value = json_format.MessageToJson(letter, indent=None).encode()
    return LogRecord(
        topic=topic,
        key=letter.key or None,
        value=value,
        headers=(
            ("content-type", content_type.encode()),
            *source_headers(record),
        ),
        partition=record.partition,
    )
