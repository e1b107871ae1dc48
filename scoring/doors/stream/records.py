"""From a Kafka record to a check that may be decided, or to why it may not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from scoring import wire
from scoring.adapters import kafka_records
from scoring.core.decision import Door
from scoring.core.label import Label, validate_label
from scoring.core.trace_context import TRACE_HEADERS, accepted_traceparent
from scoring.core.transaction import payload_hash, validate
from scoring.errors import CardNumberRefused, InvalidTransaction, ScoringError
from scoring.ports import Check, Telemetry
from scoring.topics import key_of
from scoring.wire.clean import hides_card_number

kafka_records.install()  # whoever reads records takes them as they are
# The last instant that a Timestamp can say: the end of the year 9999.
TIMESTAMP_MS_MAX = 253_402_300_799_999


_OPENS_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\{")
_SAYS_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json(;charset=\"?utf-8)?")
M = TypeVar("M", bound=Message)


class Oversize(ScoringError):
    """A record larger than one message may be."""


class UnknownType(ScoringError):
    """A content type, or a version of it, that is not known here."""


class Malformed(ScoringError):
    """Bytes that are not the declared message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaIntake:
    """Admits records: parsed, within their limits, without a card number.

    `incarnation` is which topic of its name they come from, 0 where nobody tells.
    `skew_ms` is how far an event time may lie ahead of the broker's timestamp.
    """

    message_bytes_max: int
    skew_ms: int
    exempt: frozenset[str]
    telemetry: Telemetry
    incarnation: int = 0

    def check(self, record: Any) -> Check:
        """Admit one transaction; raises a `ScoringError` that becomes a dead letter."""
        value, content_type = self._opened(record)
        try:
            transaction = wire.transaction_from_bytes(value, content_type=content_type)
            validate(transaction, exempt=self.exempt)
        except InvalidTransaction as error:
            raise _named(error) from error
        key = key_of(transaction)
        self._refuse_card_numbers(record, known=(key, transaction.id.encode()))
        received_at_ms = receipt_ms(record)
        if transaction.occurred_at_ms > received_at_ms + self.skew_ms:
            raise InvalidTransaction(
                "occurred_at",
                f"lies more than {self.skew_ms} ms after its receipt; send UTC",
            )
        if record.key != key:
            self.telemetry.count("miskeyed" if record.key else "keyless")
        return Check(
            transaction=transaction,
            payload_hash=payload_hash(transaction),
            received_at_ms=received_at_ms,
            door=Door.KAFKA,
            position=f"{record.topic}/{record.partition}@{record.offset}",
            incarnation=self.incarnation,
            traceparent=_traceparent(record),
        )

    def label(self, record: Any) -> Label:
        """Admit one label; raises a `ScoringError` that becomes a dead letter."""
        value, content_type = self._opened(record)
        try:
            label = wire.label_from_bytes(value, content_type=content_type)
            validate_label(
                label,
                received_at_ms=receipt_ms(record),
                skew_ms=self.skew_ms,
                exempt=self.exempt,
            )
        except InvalidTransaction as error:
            raise _named(error) from error
        key = key_of(label.transaction) if label.transaction else record.key
        self._refuse_card_numbers(record, known=(key, label.transaction_id.encode()))
        return label

    def _opened(self, record: Any) -> tuple[bytes, str]:
        if len(record.value or b"") > self.message_bytes_max:
            raise Oversize(
                f"the message has {len(record.value)} bytes; "
                f"at most {self.message_bytes_max} are taken"
            )
        return opened(record)

    def _refuse_card_numbers(
        self, record: Any, known: tuple[bytes | None, bytes]
    ) -> None:
        """Look at what the transaction's own limits did not: key and headers."""
        if record.key and record.key not in known and hides_card_number(record.key):
            raise CardNumberRefused("key")
        for name, value in record.headers:
            if name.lower() in TRACE_HEADERS:
                continue
            told = b"" if value in known else value or b""
            if hides_card_number(name.encode()) or hides_card_number(told):
                raise CardNumberRefused("headers")


def opened(record: Any) -> tuple[bytes, str]:
    """A record's value, without the frame of a schema registry, and what it is.

    Raises `Malformed` for a record without a value, `Oversize` for one that was not
    read, `UnknownType`: all of them a `ScoringError`.
    """
    if isinstance(record.value, kafka_records.Unread):
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


def _traceparent(record: Any) -> str:
    value = header_of(record, "traceparent")
    return accepted_traceparent(value.decode("latin-1")) if value else ""


def _named(error: InvalidTransaction) -> ScoringError:
    """Tell bytes that are no message at all from a field outside its limits.

    Unknown fields count as the former: what was sent is not this message.
    """
    if error.field in ("", "transaction"):
        return Malformed(error.message)
    return error
