"""The let-through sample: would-be declines that are approved, to learn what they were.

Whoever is declined never gets a label. A few that are let through by chance, each
flagged with its probability, tell what all of them were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scoring.core.decision.decision import (
    DecisionCore,
    DegradationCode,
    Outcome,
    Reason,
    ReasonSource,
    RuleMode,
)
from scoring.core.policy.rollout import point_of
from scoring.core.policy.segments import Amount
from scoring.core.transaction.transaction import Transaction

LIST_PREFIX = "lists."  # of the clause of a list that acts by itself
_SALT = "let_through"
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class LetThroughSample:
    """Which would-be declines may be let through.

    Each with probability `share`; none above `amount_minor_max`; those of one tenant
    and day (UTC, event time) within `budget_minor`, in the reference currency, in
    which `amount` tells a payment's.
    """

    share: float
    amount_minor_max: int
    budget_minor: int
    reason: Reason
    amount: Amount

    def costs(self, core: DecisionCore, transaction: Transaction) -> int | None:
        """What letting it through may cost, minor units; None where it may not be.

        A decline by score or rule may; not one that a list or a fallback asks for,
        one that may be decided again, nor one whose amount is unknown.
        """
        if core.outcome is not Outcome.DECLINE or core.provisional:
            return None
        if any(d.code is DegradationCode.TOO_LATE for d in core.degradations):
            return None
        if any(reason.source is ReasonSource.FALLBACK for reason in core.reasons):
            return None
        if any(
            hit.rule.startswith(LIST_PREFIX) and hit.mode is RuleMode.ENFORCE
            for hit in core.rule_hits
        ):
            return None
        minor = self.amount(transaction)
        return minor if minor is not None and minor <= self.amount_minor_max else None

    def chooses(self, transaction: Transaction) -> bool:
        """Whether chance has it: the same for every attempt of a payment."""
        return point_of(transaction, _SALT) < self.share

    def approved(self, core: DecisionCore) -> DecisionCore:
        """The decision let through: approved, flagged, and why it was not declined.

        The reasons and the hits of the decline follow, for who reads it later.
        """
        return replace(
            core,
            outcome=Outcome.APPROVE,
            reasons=(self.reason, *core.reasons),
            let_through=self.share,
        )


def budget_day(transaction: Transaction) -> int:
    """The day (UTC, event time) whose budget a payment draws on.

    >>> budget_day(Transaction("shop", "t1", occurred_at_ms=86_400_000))
    1
    """
    return transaction.occurred_at_ms // _DAY_MS
