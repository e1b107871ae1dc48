"""How what became known after a decision becomes a record: a label, an event."""

from __future__ import annotations

from scoring import wire
from scoring.core.transaction.label import Label
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.kafka.cloud_events import EVENT, LABEL, Headers, event_headers
from scoring.kafka.topic_names import Topics, key_of
from scoring.ports.log import LogRecord


def follow_up_record(topics: Topics, told: Label | LifecycleEvent) -> LogRecord:
    """The record of one follow-up, keyed like the transaction that it brings along."""
    if isinstance(told, Label):
        topic, event = topics.labels, _of_label(topics, told)
    else:
        topic, event = topics.events, _of_event(topics, told)
    return LogRecord(
        topic=topic,
        key=key_of(told.transaction) if told.transaction else None,
        value=wire.follow_up_to_bytes(told),
        headers=(
            ("content-type", wire.PROTOBUF.encode()),
            ("transaction-id", told.transaction_id.encode()),
            *event,
        ),
    )


def _of_label(topics: Topics, label: Label) -> Headers:
    return event_headers(
        LABEL,
        topics.labels,
        id_=f"{label.tenant}:{label.version}:{label.transaction_id}",
        at_ms=label.known_at_ms,
        subject=label.transaction_id,
    )


def _of_event(topics: Topics, event: LifecycleEvent) -> Headers:
    # Either id may hold a colon: that of the event, in front, says so.
    own = event.event_id.replace("%", "%25").replace(":", "%3A")
    return event_headers(
        EVENT,
        topics.events,
        id_=f"{event.tenant}:{own}:{event.transaction_id}",
        at_ms=event.occurred_at_ms,
        subject=event.transaction_id,
    )
