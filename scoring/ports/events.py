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

    STORE_UNAVAILABLE = (
        "store_unavailable",
        "the store is unavailable: the circuit breaker is open until it answers again",
    )
    STORE_RECOVERED = "store_recovered", "the store has recovered"
    HISTORY_LOST = (
        "history_lost",
        "the store has lost its history: run `scoring rebuild` at once",
    )
    LOG_UNAVAILABLE = (
        "log_unavailable",
        "the log is unavailable: records wait in the outbox",
    )
    LOG_RECOVERED = (
        "log_recovered",
        "the log has recovered: waiting records are appended",
    )
    LOG_RETRY = "log_retry", "the brokers refused records, which are sent again"
    LOG_OVERFLOW = (
        "log_overflow",
        "more decisions wait for the log than memory may hold; should stay 0",
    )
    LOG_REFUSED = (
        "log_refused",
        "its topic can never accept a record, which the log names; should stay 0",
    )
    OUTBOX_ORPHAN_RELAYED = (
        "outbox_orphan_relayed",
        "a process relayed to the log what another had left in the outbox",
    )
    OUTBOX_UNREADABLE = (
        "outbox_unreadable",
        "an outbox entry cannot be read, the log names it; should stay 0",
    )
    PROVISIONAL_RECONCILED = (
        "provisional_reconciled",
        "a provisional decision was reconciled: it is final now",
    )
    PROVISIONAL_OVERFLOW = (
        "provisional_overflow",
        "memory and spool had no room for a provisional decision; should stay 0",
    )
    SPOOL_DAMAGED = (
        "spool_damaged",
        "a part of the local spool could not be read; should stay 0",
    )
    DEAD_LETTER = "dead_letter", "an input that cannot be judged became a dead letter"
    LABEL = "label", "a label was applied to the history"
    LIFECYCLE = "lifecycle", "a lifecycle event was applied to the history"
    LABEL_CORRUPT = (
        "label_corrupt",
        "a label or a lifecycle event met a damaged history: run `scoring rebuild`",
    )
    KEYLESS = "keyless", "a record has no key: decided, but out of its card's order"
    MISKEYED = (
        "miskeyed",
        "a record has another key than its card: decided, but out of order",
    )
    STREAM_WAITED = "stream_waited", "the stream door waited for the store"
    SECOND_LOOK_TAKEN = "second_look_taken", "a second look was taken"
    SECOND_LOOK_SKIPPED = (
        "second_look_skipped",
        "a second look was due and had no time",
    )
    SECOND_LOOK_FAILED = "second_look_failed", "a second look was due and gave no score"
    BREAKER_TRIPPED = (
        "breaker_tripped",
        "a rule, or a policy, declined too much and is held back: look at it at once",
    )
    LET_THROUGH = "let_through", "a would-be decline was let through, by the sample"
    LET_THROUGH_UNPAID = (
        "let_through_unpaid",
        "one that the sample had chosen was declined: no budget left, or no store",
    )
    SHED_FULL = (
        "shed_full",
        "a check was refused: SCORING_GRPC_CHECKS_MAX are in flight",
    )
    SHED_LATE = (
        "shed_late",
        "a check was refused: what waits before it leaves it no time; add processes",
    )
    SHED_SHORTENED = (
        "shed_shortened",
        "a check of a small amount was decided without history, to leave others time",
    )
    MODEL_TAKEN = "model_taken", "another model decides"
    MODEL_REFUSED = (
        "model_refused",
        "the promoted model was refused, the log says why; should stay 0",
    )
    CERTIFICATE_TAKEN = "certificate_taken", "new connections get another certificate"
    CERTIFICATE_REFUSED = (
        "certificate_refused",
        "a new certificate was refused, the log says why; should stay 0",
    )
    RATES_TAKEN = "rates_taken", "a new file of exchange rates is in force"
    RATES_REFUSED = (
        "rates_refused",
        "a file of exchange rates was refused, the log says why; should stay 0",
    )
    RELEASE_TAKEN = "release_taken", "another policy is in force"
    RELEASE_REFUSED = (
        "release_refused",
        "a release or a policy file was refused, the log says why; should stay 0",
    )
    CALLER_UNAUTHENTICATED = (
        "caller_unauthenticated",
        "a caller could not be identified",
    )
    CALLER_PERMISSION_DENIED = (
        "caller_permission_denied",
        "a caller called what it may not call",
    )
    CALLER_RESOURCE_EXHAUSTED = (
        "caller_resource_exhausted",
        "a caller exceeded its rate limit",
    )
