"""What becomes of follow-ups, whichever door they come through: one set of rules.

A follow-up is a label or a lifecycle event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scoring import wire
from scoring.core.transaction.label import Label, validate_order
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction
from scoring.errors import (
    EventConflict,
    InvalidTransaction,
    LabelConflict,
    ScoringError,
    StoreUnavailable,
    TooManyEvents,
    UnknownTransaction,
)
from scoring.ports.events import Event
from scoring.ports.follow_ups import (
    Attested,
    FollowUp,
    FollowUpStore,
    LabelledTransaction,
    TransactionEvent,
)
from scoring.ports.records import RecordStore
from scoring.ports.telemetry import Telemetry

# A poll brings at most as many; a longer list is sampled from its start.
_SCORES_MAX = 500
_PATIENCE_S = 1.0
Reported = Label | LifecycleEvent
Joined = FollowUp | ScoringError


@dataclass(frozen=True, slots=True)
class FollowUps:
    """Finds the payments of follow-ups, and applies what may be applied."""

    store: FollowUpStore
    records: RecordStore
    telemetry: Telemetry

    async def joined(
        self, reported: Sequence[Reported], *, timeout_s: float | None = None
    ) -> list[Joined]:
        """Each with its payment, as it was decided, else as it was sent.

        `UnknownTransaction` where there is neither, `InvalidTransaction` where a
        label was known before the payment. Raises `StoreUnavailable`.
        """
        keys = [(own.tenant, own.transaction_id) for own in reported]
        payments = await self.records.payments(keys, timeout_s=timeout_s)
        return [
            joined(own, payment)
            for own, payment in zip(reported, payments, strict=True)
        ]

    async def attest(
        self, follow_ups: Sequence[Joined], *, timeout_s: float | None = None
    ) -> list[ScoringError | None]:
        """Why one does not count; None where it does. Nothing is applied yet.

        Raises `StoreUnavailable`.
        """
        own = [one for one in follow_ups if not isinstance(one, ScoringError)]
        stand = await self.store.attest(own, timeout_s=timeout_s) if own else []
        return _outcomes(follow_ups, stand)

    async def learn(
        self, follow_ups: Sequence[Joined], *, timeout_s: float | None = None
    ) -> list[ScoringError | None]:
        """Apply them; why one was not applied, None where it was (or is already).

        Raises `StoreUnavailable`; repeating it is safe.
        """
        own = [one for one in follow_ups if not isinstance(one, ScoringError)]
        stand = await self.store.learn(own, timeout_s=timeout_s) if own else []
        learned = [
            one
            for one, standing in zip(own, stand, strict=True)
            if standing is Attested.STANDS
        ]
        labels = [one for one in learned if isinstance(one, LabelledTransaction)]
        if len(labels) < len(learned):
            self.telemetry.count(Event.LIFECYCLE, len(learned) - len(labels))
        if labels:
            self.telemetry.count(Event.LABEL, len(labels))
            await self.tell_scores(labels)
        return _outcomes(follow_ups, stand)

    async def tell_scores(self, labels: Sequence[LabelledTransaction]) -> None:
        """Tell telemetry how labelled payments were scored; but for withdrawn labels.

        Only while the decision is recorded (the dedupe horizon), and never in the
        way: without the store, labels go uncounted.
        """
        known = [label for label in labels if label.fraud is not None][:_SCORES_MAX]
        keys = [(label.transaction.tenant, label.transaction.id) for label in known]
        try:
            found = await self.records.decisions(keys, timeout_s=_PATIENCE_S)
        except StoreUnavailable:
            return
        for label, raw in zip(known, found, strict=True):
            if raw is None:
                continue
            core = wire.decision_from_bytes(raw).core
            if core.HasField("score"):
                fraud = bool(label.fraud)
                self.telemetry.judged(core.versions.model, core.score, fraud=fraud)


def joined(reported: Reported, payment: Transaction | None) -> Joined:
    """A follow-up with the payment that was found, else with its own; or why not.

    >>> label = Label("default", "t1", version=1, verdict=1, known_at_ms=1)
    >>> type(joined(label, None)).__name__
    'UnknownTransaction'
    """
    transaction = payment or reported.transaction
    if transaction is None:
        return UnknownTransaction()
    if isinstance(reported, LifecycleEvent):
        return TransactionEvent(transaction, reported)
    try:
        validate_order(reported.known_at_ms, transaction)
    except InvalidTransaction as error:
        return error
    return LabelledTransaction(
        transaction=transaction,
        version=reported.version,
        fraud=reported.fraud,
        known_at_ms=reported.known_at_ms,
        source=reported.source,
    )


def _outcomes(
    follow_ups: Sequence[Joined], stand: Sequence[Attested]
) -> list[ScoringError | None]:
    told = iter(stand)
    return [
        one if isinstance(one, ScoringError) else _refused(one, next(told))
        for one in follow_ups
    ]


def _refused(one: FollowUp, standing: Attested) -> ScoringError | None:
    if standing is Attested.STANDS:
        return None
    if standing is Attested.FULL:
        return TooManyEvents()
    return LabelConflict() if isinstance(one, LabelledTransaction) else EventConflict()
