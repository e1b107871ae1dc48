"""What is in force: the policy that decides a payment, and those that only watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scoring.core.decision.decision import Arm
from scoring.core.policy.breaker import WHOLE
from scoring.core.policy.dated_lists import DatedLists
from scoring.core.policy.policy import Policy
from scoring.core.policy.restraint import restrained
from scoring.core.policy.rollout import point_of
from scoring.core.transaction.transaction import Transaction


@dataclass(frozen=True, slots=True)
class InForce:
    """One arrangement of policies: swapped as one reference, between two batches.

    The `candidate` decides its `share` of the payments, by a hash of the payment. The
    outcomes of `shadows` are recorded only. `lists_revision` is that of the managed
    lists, 0 where there are none. `tripped` names what the breaker stopped, as
    `trip_name` does: it is held back until `rearmed` says that a person armed that
    rule again, and when, ms. Carry both over to the next arrangement (`replace`).
    With `dated` lists, as a replay has them, each payment meets those of its own time.
    `samples` tells whether a policy that decides lets some would-be declines through.
    """

    policy: Policy
    candidate: Policy | None = None
    share: float = 0.0
    shadows: tuple[Policy, ...] = ()
    lists_revision: int = 0
    tripped: frozenset[str] = frozenset()
    rearmed: Mapping[str, int] = field(default_factory=dict)
    dated: DatedLists | None = None
    samples: bool = field(init=False, repr=False)
    _current: Policy = field(init=False, repr=False)
    _other: Policy | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make of each policy what acts: its arm, without what is held back."""
        candidate, current = self.candidate, self._acting(self.policy)
        if candidate is not None:
            current = replace(current, arm=Arm.CURRENT)
            candidate = replace(candidate, arm=Arm.CANDIDATE)
            # Stopped as a whole, it gets no payment: there is another to decide it.
            whole = trip_name(candidate.version, WHOLE, self.rearmed)
            candidate = None if whole in self.tripped else self._acting(candidate)
        samples = any(policy.sample is not None for policy in self.deciding)
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "_current", current)
        object.__setattr__(self, "_other", candidate)

    def _acting(self, policy: Policy) -> Policy:
        if not self.tripped:
            return policy
        return restrained(policy, self._held(policy))

    def _held(self, policy: Policy) -> list[str]:
        names = ((r, trip_name(policy.version, r, self.rearmed)) for r in policy.guards)
        return [rule for rule, name in names if name in self.tripped]

    @property
    def deciding(self) -> tuple[Policy, ...]:
        """The policies that decide payments, as they are written."""
        candidate = self.candidate
        return (self.policy,) if candidate is None else (self.policy, candidate)

    @property
    def held(self) -> tuple[str, ...]:
        """The names, of all `tripped`, that hold something back now, in order."""
        return tuple(
            trip_name(policy.version, rule, self.rearmed)
            for policy in self.deciding
            for rule in self._held(policy)
        )

    @property
    def sole(self) -> Policy | None:
        """The policy that decides every payment, as `of` has it; None for several."""
        alike = self._other is None and self.dated is None
        return self._current if alike else None

    def of(self, transaction: Transaction) -> Policy:
        """The policy that decides a payment: the same for each of its attempts.

        As it acts now: it knows its arm, and lacks what the breaker holds back.
        """
        policy, other = self._current, self._other
        if other is not None and point_of(transaction, other.version) < self.share:
            policy = other
        if self.dated is None:
            return policy
        return policy.with_lists(self.dated.as_of(transaction.occurred_at_ms))


def trip_name(version: str, rule: str, rearmed: Mapping[str, int]) -> str:
    """What the breaker calls a rule of a policy version, as it is armed now.

    >>> trip_name("ab12", "large", {}), trip_name("ab12", "large", {"large": 17})
    ('ab12/large/0', 'ab12/large/17')
    """
    return f"{version}/{rule}/{rearmed.get(rule, 0)}"
