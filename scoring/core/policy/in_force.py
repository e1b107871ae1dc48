"""What is in force: the policy that decides a payment, and those that only watch."""

from __future__ import annotations

from dataclasses import dataclass

from scoring.core.policy.policy import Policy
from scoring.core.policy.rollout import point_of
from scoring.core.transaction.transaction import Transaction


@dataclass(frozen=True, slots=True)
class InForce:
    """One arrangement of policies: swapped as one reference, between two batches.

    The `candidate` decides its `share` of the payments, by a hash of the payment. The
    outcomes of `shadows` are recorded only. `lists_revision` is that of the managed
    lists, 0 where there are none. A rule that the breaker `tripped` acts as shadow.
    """

    policy: Policy
    candidate: Policy | None = None
    share: float = 0.0
    shadows: tuple[Policy, ...] = ()
    lists_revision: int = 0
    tripped: frozenset[str] = frozenset()

    def of(self, transaction: Transaction) -> Policy:
        """The policy that decides a payment: the same for each of its attempts."""
        candidate = self.candidate
        if candidate is None or point_of(transaction, candidate.version) >= self.share:
            return self.policy
        return candidate
