"""From a Kafka record to a check that may be decided, or to why it may not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from scoring import wire
from scoring.core.decision.decision import Door
from scoring.core.transaction.event_time import refuse_future
from scoring.core.transaction.label import Label, validate_label
from scoring.core.transaction.lifecycle import (
    LifecycleEvent,
    event_known,
    validate_event,
)
from scoring.core.transaction.trace_context import TRACE_HEADERS, accepted_traceparent
from scoring.core.transaction.transaction import payload_hash, validate
from scoring.errors import CardNumberRefused, InvalidTransaction, ScoringError
from scoring.kafka.record_values import (
    Malformed,
    Oversize,
    header_of,
    opened,
    receipt_ms,
)
from scoring.kafka.topic_names import key_of
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.spans import CallSpan, Traces
from scoring.ports.telemetry import Telemetry
from scoring.wire.card_number_masking import hides_card_number

T = TypeVar("T", Label, LifecycleEvent)


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
    traces: Traces | None = None

    def span(self, record: Any) -> CallSpan | None:
        """Where the trace of one record is written; None without traces."""
        if self.traces is None:
            return None
        name = f"process {record.topic}"
        span = self.traces.began(Door.KAFKA, name, _traceparent(record))
        span.place = _place(record)
        return span

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
        refuse_future(
            "occurred_at",
            transaction.occurred_at_ms,
            received_at_ms=received_at_ms,
            skew_ms=self.skew_ms,
        )
        if record.key != key:
            self.telemetry.count(Event.MISKEYED if record.key else Event.KEYLESS)
        return Check(
            transaction=transaction,
            payload_hash=payload_hash(transaction),
            received_at_ms=received_at_ms,
            door=Door.KAFKA,
            position=_place(record),
            incarnation=self.incarnation,
            traceparent=_traceparent(record),
            span=self.span(record),
        )

    def label(self, record: Any) -> Label:
        """Admit one label; raises a `ScoringError` that becomes a dead letter."""
        return self._follow_up(record, wire.label_from_bytes, validate_label)

    def event(self, record: Any) -> LifecycleEvent:
        """Admit one lifecycle event; raises as `label`.

        Where it does not say when it became known, the broker's timestamp does.
        """
        event = self._follow_up(record, wire.event_from_bytes, validate_event)
        return event_known(event, receipt_ms(record))

    def _follow_up(
        self, record: Any, read: Callable[..., T], validate: Callable[..., None]
    ) -> T:
        value, content_type = self._opened(record)
        try:
            told = read(value, content_type=content_type)
            validate(
                told,
                received_at_ms=receipt_ms(record),
                skew_ms=self.skew_ms,
                exempt=self.exempt,
            )
        except InvalidTransaction as error:
            raise _named(error) from error
        self._refuse_beside(record, told)
        return told

    def _refuse_beside(self, record: Any, told: Label | LifecycleEvent) -> None:
        # The key of a follow-up alone may be a card's token, or its customer's.
        numeric = bool(self.exempt & {"card", "customer"})
        own = key_of(told.transaction) if told.transaction else None
        key = record.key if own is None and numeric else own
        self._refuse_card_numbers(record, known=(key, told.transaction_id.encode()))

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


def _place(record: Any) -> str:
    return f"{record.topic}/{record.partition}@{record.offset}"


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
