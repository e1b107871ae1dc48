"""Follow-ups: what becomes known of a payment after its decision, and who keeps it.

A follow-up is a label (what turned out to be true) or a lifecycle event (what
happened).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple, Protocol

from scoring.core.transaction.label import Label, LabelSource, Verdict
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTransaction:
    """A label joined with the transaction it speaks of.

    `fraud` is None for a withdrawn label. `known_at_ms` is when it became known.
    """

    transaction: Transaction
    version: int
    fraud: bool | None
    known_at_ms: int
    source: int = LabelSource.UNSPECIFIED

    @property
    def verdict(self) -> Verdict:
        """What the label said."""
        if self.fraud is None:
            return Verdict.WITHDRAWN
        return Verdict.FRAUD if self.fraud else Verdict.LEGITIMATE

    @property
    def told(self) -> Label:
        """The label alone."""
        t = self.transaction
        return Label(
            t.tenant, t.id, self.version, self.verdict, self.known_at_ms, self.source
        )


@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """A lifecycle event joined with the transaction that it happened to."""

    transaction: Transaction
    event: LifecycleEvent

    @property
    def told(self) -> LifecycleEvent:
        """The event alone."""
        return replace(self.event, transaction=None)


FollowUp = LabelledTransaction | TransactionEvent


class Attested(IntEnum):
    """Whether a follow-up counts: the first of its version, or its event id, does."""

    STANDS = 1
    CONFLICTS = 0  # something else was said under its version or id
    FULL = -1  # its payment keeps no more of them


class Life(NamedTuple):
    """What became known of one payment, as encoded messages, in no order."""

    labels: tuple[bytes, ...] = ()
    events: tuple[bytes, ...] = ()


class FollowUpStore(Protocol):
    """What was reported of payments. Raises as `ports.store` says."""

    async def attest(
        self, follow_ups: Sequence[FollowUp], *, timeout_s: float | None = None
    ) -> list[Attested]:
        """Whether each counts: the first of a version, or of an event id, does.

        Kept as long as it can matter. What counts is not learned yet.
        """
        ...

    async def learn(
        self, follow_ups: Sequence[FollowUp], *, timeout_s: float | None = None
    ) -> list[Attested]:
        """Apply those that count; idempotent by version or event id.

        Returns which do, as `attest`.
        """
        ...

    async def lives(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[Life]:
        """What is known of payments by (tenant, transaction id)."""
        ...
