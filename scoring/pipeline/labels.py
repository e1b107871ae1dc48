"""What becomes of labels, whichever door they come through: one set of rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scoring import wire
from scoring.core.transaction.label import Label, validate_order
from scoring.core.transaction.transaction import Transaction
from scoring.errors import (
    InvalidTransaction,
    LabelConflict,
    ScoringError,
    StoreUnavailable,
    UnknownTransaction,
)
from scoring.ports.events import Event
from scoring.ports.labels import LabelledTransaction, LabelStore
from scoring.ports.records import RecordStore
from scoring.ports.telemetry import Telemetry

# A poll brings at most as many; a longer list is sampled from its start.
_SCORES_MAX = 500
_PATIENCE_S = 1.0
Joined = LabelledTransaction | ScoringError


@dataclass(frozen=True, slots=True)
class Labelling:
    """Finds the payments of labels, and applies what may be applied."""

    store: LabelStore
    records: RecordStore
    telemetry: Telemetry

    async def joined(
        self, labels: Sequence[Label], *, timeout_s: float | None = None
    ) -> list[Joined]:
        """Each label with its payment, as it was decided, else as it was sent.

        `UnknownTransaction` where there is neither, `InvalidTransaction` where the
        label was known before the payment. Raises `StoreUnavailable`.
        """
        keys = [(label.tenant, label.transaction_id) for label in labels]
        payments = await self.records.payments(keys, timeout_s=timeout_s)
        return [
            joined(label, payment)
            for label, payment in zip(labels, payments, strict=True)
        ]

    async def attest(
        self, labels: Sequence[Joined], *, timeout_s: float | None = None
    ) -> list[ScoringError | None]:
        """Why a label does not stand; None where it does. Nothing is applied yet.

        Raises `StoreUnavailable`.
        """
        own = [label for label in labels if isinstance(label, LabelledTransaction)]
        stand = await self.store.attest(own, timeout_s=timeout_s) if own else []
        return _outcomes(labels, stand)

    async def learn(
        self, labels: Sequence[Joined], *, timeout_s: float | None = None
    ) -> list[ScoringError | None]:
        """Apply labels; why one was not applied, None where it was (or is already).

        Raises `StoreUnavailable`; repeating it is safe.
        """
        own = [label for label in labels if isinstance(label, LabelledTransaction)]
        stand = await self.store.learn(own, timeout_s=timeout_s) if own else []
        learned = [label for label, ok in zip(own, stand, strict=True) if ok]
        if learned:
            self.telemetry.count(Event.LABEL, len(learned))
            await self.tell_scores(learned)
        return _outcomes(labels, stand)

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


def joined(label: Label, payment: Transaction | None) -> Joined:
    """A label with the payment that was found, else with its own; or why it cannot be.

    >>> label = Label("default", "t1", version=1, verdict=1, known_at_ms=1)
    >>> type(joined(label, None)).__name__
    'UnknownTransaction'
    """
    transaction = payment or label.transaction
    if transaction is None:
        return UnknownTransaction()
    try:
        validate_order(label.known_at_ms, transaction)
    except InvalidTransaction as error:
        return error
    return LabelledTransaction(
        transaction=transaction,
        version=label.version,
        fraud=label.fraud,
        known_at_ms=label.known_at_ms,
    )


def _outcomes(
    labels: Sequence[Joined], stand: Sequence[bool]
) -> list[ScoringError | None]:
    told = iter(stand)
    return [
        label
        if isinstance(label, ScoringError)
        else None
        if next(told)
        else LabelConflict()
        for label in labels
    ]
