"""What the data plane is to run: one policy, at most one candidate, shadows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scoring.control.domain.policy_life import PolicyState
from scoring.errors import NotPossible

SHADOWS_MAX = 3  # each costs every payment one more decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """Numbers of versions, and how each of them runs.

    `rearmed` maps a rule of the policy in force to the instant, in ms, from which on
    its breaker may trip again.
    """

    policy: int | None = None
    candidate: int | None = None
    share: float | None = None
    shadows: tuple[int, ...] = ()
    rearmed: Mapping[str, int] = field(default_factory=dict)

    def releasing(self, number: int) -> Arrangement:
        """The version in force; it ends a candidate, which was compared with another.

        What was re-armed stays so: a rule that tripped in a version of this hash would
        be stopped again by a rollback to it, though a person has armed it since.

        >>> Arrangement(policy=1, candidate=2, share=0.1, shadows=(3, 4)).releasing(3)
        Arrangement(policy=3, candidate=None, share=None, shadows=(4,), rearmed={})
        """
        if number == self.policy:
            raise NotPossible(f"version {number} is in force already")
        return Arrangement(
            policy=number, shadows=self._without(number), rearmed=self.rearmed
        )

    def trying(self, number: int, share: float) -> Arrangement:
        """The version as candidate, with a share of payments."""
        self._needs_policy(number)
        return replace(
            self, candidate=number, share=share, shadows=self._without(number)
        )

    def shadowing(self, number: int) -> Arrangement:
        """The version beside the policy; its outcome is recorded only."""
        self._needs_policy(number)
        if number in self.shadows:
            raise NotPossible(f"version {number} is a shadow already")
        if len(self.shadows) == SHADOWS_MAX:
            raise NotPossible(f"{SHADOWS_MAX} shadows run already; stop one of them")
        arm = self.stopping(number) if number == self.candidate else self
        return replace(arm, shadows=(*self.shadows, number))

    def stopping(self, number: int) -> Arrangement:
        """Without this candidate or shadow."""
        if number == self.candidate:
            return replace(self, candidate=None, share=None)
        if number in self.shadows:
            return replace(self, shadows=self._without(number))
        raise NotPossible(f"version {number} is neither candidate nor shadow")

    def rearming(self, rule: str, at_ms: int) -> Arrangement:
        """The breaker of a rule begins anew."""
        self._needs_policy(None)
        return replace(self, rearmed={**self.rearmed, rule: at_ms})

    @property
    def deciding(self) -> tuple[int, ...]:
        """The versions that payments are decided by: the policy and its candidate."""
        return tuple(n for n in (self.policy, self.candidate) if n is not None)

    def states(self) -> dict[int, PolicyState]:
        """The state of each version that runs."""
        running = dict.fromkeys(self.shadows, PolicyState.SHADOW)
        return running | dict.fromkeys(reversed(self.deciding), PolicyState.LIVE)

    def states_since(self, earlier: Arrangement) -> dict[int, PolicyState]:
        """The states that a change from an earlier arrangement brings.

        A policy that was replaced is retired; what else ran may be proposed again.

        >>> Arrangement(policy=2).states_since(Arrangement(policy=1, shadows=(3,)))
        {1: <PolicyState.RETIRED: 'retired'>, 3: <PolicyState.APPROVED: 'approved'>, \
2: <PolicyState.LIVE: 'live'>}
        """
        ended = dict.fromkeys(earlier.states(), PolicyState.APPROVED)
        if earlier.policy is not None:
            ended[earlier.policy] = PolicyState.RETIRED
        return dict(sorted(ended.items())) | self.states()

    def _without(self, number: int) -> tuple[int, ...]:
        return tuple(each for each in self.shadows if each != number)

    def _needs_policy(self, number: int | None) -> None:
        if self.policy is None:
            raise NotPossible("no policy was released yet; release one first")
        if number == self.policy:
            raise NotPossible(f"version {number} is in force already")
