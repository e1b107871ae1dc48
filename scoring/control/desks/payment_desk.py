"""Payments that are archived, for people: one of them, and others of its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scoring.control.domain.people import Person, Right
from scoring.errors import NotPossible

LINKED_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentWish:
    """Which payment is looked for, and others of which tokens.

    Without `tokens` those of the archived payment count. Others are looked for that
    were attempted within `days` of it. `near_ms` is about when it was attempted; None
    where nobody knows, and all days are looked through.
    """

    tenant: str
    transaction_id: str
    near_ms: int | None
    days: int
    tokens: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedPayment:
    """Another payment; its amount is None where it is unknown, its score likewise."""

    transaction_id: str
    occurred_at_ms: int
    amount_minor: int | None
    currency: str
    merchant: str
    outcome: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentLink:
    """How many other payments have a token, and the newest of them."""

    shared: str
    token: str
    count: int
    newest: Sequence[LinkedPayment]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPayment:
    """A payment's life as the service answers it, encoded; None: it is not archived."""

    life: bytes | None
    links: Sequence[PaymentLink]


class ArchivedPayments(Protocol):
    """Where decided payments are kept."""

    def found(self, wish: PaymentWish) -> FoundPayment:
        """Look through it; blocks. Raises `Unavailable` where that takes too long."""
        ...


@dataclass(frozen=True, slots=True)
class PaymentDesk:
    """What people ask of archived payments; raises `Denied` and `NotPossible`."""

    archive: ArchivedPayments | None = None

    def look_up(self, person: Person, wish: PaymentWish) -> FoundPayment:
        """A payment and its links; blocks, and raises `Unavailable`."""
        person.needs(Right.READ)
        if self.archive is None:
            raise NotPossible(
                "this control plane has no archive to look through; set "
                "SCORING_ARCHIVE_DIR where it runs"
            )
        return self.archive.found(wish)
