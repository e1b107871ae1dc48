"""Two models' decisions of the same transactions, set side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from scoring.core.decision.decision import Outcome

Key = Hashable  # tenant and transaction id


@dataclass(frozen=True, slots=True)
class ModelJudgement:
    """What one model said of one transaction; `score` and `margin` NaN without one."""

    outcome: Outcome
    score: float
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivalry:
    """What two models said of the transactions that both judged.

    `frauds` tells what turned out to be true of some of them.
    """

    first: list[ModelJudgement] = field(default_factory=list)
    second: list[ModelJudgement] = field(default_factory=list)
    frauds: list[bool | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def changes(self) -> Counter[tuple[Outcome, Outcome]]:
        """How often each pair of outcomes occurred, equal ones among them."""
        return Counter(
            (a.outcome, b.outcome) for a, b in zip(self.first, self.second, strict=True)
        )

    @property
    def agreement(self) -> float | None:
        """Share of transactions with the same outcome; None where there are none."""
        if not self.first:
            return None
        same = sum(n for (a, b), n in self.changes.items() if a is b)
        return same / len(self.first)


def rivalry(
    first: Mapping[Key, ModelJudgement],
    second: Mapping[Key, ModelJudgement],
    labels: Mapping[Key, bool | None],
) -> Rivalry:
    """Join what two models said, by transaction; in the first one's order.

    >>> a = {1: ModelJudgement(Outcome.APPROVE, 0.1, -2.0),
    ...      2: ModelJudgement(Outcome.REVIEW, 0.6, 0.4)}
    >>> b = {2: ModelJudgement(Outcome.DECLINE, 0.9, 2.2)}
    >>> both = rivalry(a, b, {2: True})
    >>> len(both), both.agreement, both.frauds
    (1, 0.0, [True])
    """
    both = [key for key in first if key in second]
    return Rivalry(
        first=[first[key] for key in both],
        second=[second[key] for key in both],
        frauds=[labels.get(key) for key in both],
    )
