"""What happens that has a name and nothing else: the closed set that is counted."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Event(StrEnum):
    """One of `fraud_events_total{event}`; its value is the label.

    `meaning` says what happened and, where somebody should act, what to do; the page of
    metrics is made of it.
    """

    meaning: str

    def __new__(cls, label: str, meaning: str = "") -> Self:
        """A member: its label and what it means."""
        if not meaning:
            raise TypeError(f"event {label!r} does not say what it means")
        member = str.__new__(cls, label)
        member._value_ = label
        member.meaning = meaning
        return member

    STORE_LOST = (
        "store_lost",
        "the store stopped answering: it is not asked until it answers again",
    )
    STORE_BACK = "store_back", "the store answers again"
    HISTORY_LOST = (
        "history_lost",
        "the store answers and its history is gone: `scoring rebuild` at once",
    )
    LOG_LOST = "log_lost", "the brokers take no records: they wait in the outbox"
    LOG_BACK = "log_back", "the brokers take records again: what waited is appended"
    LOG_RETRY = "log_retry", "records were not taken, and are sent again"
    LOG_OVERFLOW = (
        "log_overflow",
        "more decisions wait for the log than memory may hold; should stay 0",
    )
    LOG_REFUSED = (
        "log_refused",
        "a record that its topic never takes, the log names it; should stay 0",
    )
    OUTBOX_SWEPT = (
        "outbox_swept",
        "a decision that a process left unpublished was published by another",
    )
    OUTBOX_UNREADABLE = (
        "outbox_unreadable",
        "an entry of the outbox that is none, the log names it; should stay 0",
    )
    PROVISIONAL_ADOPTED = (
        "provisional_adopted",
        "a provisional answer became the record once the store was back",
    )
    PROVISIONAL_OVERFLOW = (
        "provisional_overflow",
        "a provisional answer had no room in memory or spool; should stay 0",
    )
    SPOOL_DAMAGED = (
        "spool_damaged",
        "a piece of the local spool could not be read; should stay 0",
    )
    DEAD_LETTER = "dead_letter", "an input that could not be judged was laid aside"
    LABEL = "label", "a label was learned"
    LABEL_CORRUPT = (
        "label_corrupt",
        "a label met a damaged history: `scoring rebuild`",
    )
    KEYLESS = "keyless", "a record without a key: decided, but out of its card's order"
    MISKEYED = (
        "miskeyed",
        "a record under another key than its card: decided, but out of order",
    )
    STREAM_WAITED = "stream_waited", "the stream door waited for the store"
    SECOND_LOOK_TAKEN = "second_look_taken", "a second look was taken"
    SECOND_LOOK_SKIPPED = (
        "second_look_skipped",
        "a second look was due and had no time",
    )
    SECOND_LOOK_FAILED = "second_look_failed", "a second look was due and gave no score"
    RATES_TAKEN = "rates_taken", "another file of exchange rates came into force"
    RATES_REFUSED = (
        "rates_refused",
        "a file of exchange rates was not taken, the log says why; should stay 0",
    )
    CALLER_UNAUTHENTICATED = (
        "caller_unauthenticated",
        "a caller could not be identified",
    )
    CALLER_PERMISSION_DENIED = (
        "caller_permission_denied",
        "a caller asked for what it may not",
    )
    CALLER_RESOURCE_EXHAUSTED = (
        "caller_resource_exhausted",
        "a caller exceeded its rate",
    )
