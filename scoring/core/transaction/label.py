"""What turned out to be true of a transaction, later."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from scoring.core.transaction.event_time import implausible, refuse_future
from scoring.core.transaction.transaction import (
    Transaction,
    validate_embedded,
    validate_key,
)
from scoring.errors import InvalidTransaction


class Verdict(IntEnum):
    """What it turned out to be; numbers as in the protobuf enum."""

    UNSPECIFIED = 0
    FRAUD = 1
    LEGITIMATE = 2
    WITHDRAWN = 3


class LabelSource(IntEnum):
    """Who says so; numbers as in the protobuf enum."""

    UNSPECIFIED = 0
    CHARGEBACK = 1
    EARLY_WARNING = 2
    REVIEW = 3
    CUSTOMER = 4
    REFUND = 5


_FRAUD = {Verdict.FRAUD: True, Verdict.LEGITIMATE: False, Verdict.WITHDRAWN: None}


@dataclass(frozen=True, slots=True)
class Label:
    """One version of what is known; `transaction` when the sender had it."""

    tenant: str
    transaction_id: str
    version: int
    verdict: int
    known_at_ms: int
    source: int = LabelSource.UNSPECIFIED
    transaction: Transaction | None = None

    @property
    def fraud(self) -> bool | None:
        """True, False, or None for a withdrawn label."""
        return _FRAUD[Verdict(self.verdict)]


def validate_label(
    label: Label,
    *,
    received_at_ms: int,
    skew_ms: int,
    exempt: frozenset[str] = frozenset(),
) -> None:
    """Raise `InvalidTransaction` naming the first field outside its limits.

    What is known lies at most `skew_ms` after the label's own receipt: nothing can
    be known before it was told.
    """
    id_ = label.transaction_id
    validate_key(label.tenant, id_, exempt=exempt)
    if label.version < 1:
        raise InvalidTransaction("version", "is required and starts at 1")
    if not Verdict.FRAUD <= label.verdict <= Verdict.WITHDRAWN:
        told = "is required and must be fraud, legitimate or withdrawn"
        raise InvalidTransaction("verdict", told)
    if not 0 <= label.source <= LabelSource.REFUND:
        raise InvalidTransaction("source", "is not a known source")
    if why := implausible(label.known_at_ms):
        raise InvalidTransaction("known_at", why)
    refuse_future(
        "known_at", label.known_at_ms, received_at_ms=received_at_ms, skew_ms=skew_ms
    )
    if label.transaction is not None:
        validate_embedded(label.transaction, label.tenant, id_, exempt=exempt)
        validate_order(label.known_at_ms, label.transaction)


def validate_order(known_at_ms: int, transaction: Transaction) -> None:
    """Raise `InvalidTransaction` where a label was known before its payment.

    >>> validate_order(5, Transaction("default", "t1", occurred_at_ms=5))
    """
    if known_at_ms < transaction.occurred_at_ms:
        raise InvalidTransaction("known_at", "lies before its payment occurred")
