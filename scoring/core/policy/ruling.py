"""What rules and lists ask for together, from their two masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from scoring.core.decision.decision import (
    Outcome,
    Reason,
    ReasonSource,
    RuleHit,
    RuleMode,
)

_RULINGS_MAX = 4_096  # distinct pairs of masks remembered; each is about 1 kB


@dataclass(frozen=True, slots=True)
class ClauseAsk:
    """What one clause (a rule, or a list that acts by itself) asks for.

    `on_missing` is UNSPECIFIED where an unknown clause asks for nothing; else its
    reason is the missing one. With `case` whatever it decides upon goes to people, too.
    """

    name: str
    outcome: Outcome
    mode: RuleMode
    priority: int
    source: ReasonSource
    code: str
    wording: str
    on_missing: Outcome = Outcome.UNSPECIFIED
    missing_code: str = ""
    missing_wording: str = ""
    case: bool = False

    def reason(self, *, unknown: bool) -> Reason:
        """Why it asks: what it saw, or that it could not see."""
        if unknown:
            return Reason(self.missing_code, self.missing_wording, self.source)
        return Reason(self.code, self.wording, self.source)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the clauses ask for together.

    `outcome` is UNSPECIFIED where none decides. `reasons` and the clauses they come
    from are side by side, most important first; a clause is -1 where it was
    unknown, so that nothing was observed.
    """

    outcome: Outcome
    hits: tuple[RuleHit, ...] = ()
    reasons: tuple[Reason, ...] = ()
    clauses: tuple[int, ...] = ()


# (mask of hits, mask of unknowns, mask of those that are quiet)
Judge = Callable[[int, int, int], Ruling]


def rulings(asks: Sequence[ClauseAsk]) -> Judge:
    """A function of three masks; it remembers its answers.

    The highest priority that is hit decides; within it the strictest outcome. A
    clause that is quiet for this payment acts as shadow.

    >>> ask = ClauseAsk("r", Outcome.DECLINE, RuleMode.ENFORCE, 0, ReasonSource.RULE,
    ...           "CODE", "wording")
    >>> judge = rulings([ask])
    >>> [judge(*masks).outcome.name for masks in ((1, 0, 0), (0, 1, 0), (1, 0, 1))]
    ['DECLINE', 'UNSPECIFIED', 'UNSPECIFIED']
    """

    @lru_cache(maxsize=_RULINGS_MAX)
    def judge(hits: int, unknowns: int, quiet: int) -> Ruling:
        return _judge(asks, hits, unknowns, quiet)

    return judge


def _judge(asks: Sequence[ClauseAsk], hits: int, unknowns: int, quiet: int) -> Ruling:
    rule_hits: list[RuleHit] = []
    enforced: list[tuple[int, Outcome, ClauseAsk, int]] = []
    for i, ask in enumerate(asks):
        unknown = bool(unknowns >> i & 1)
        if not unknown and not hits >> i & 1:
            continue
        outcome = ask.on_missing if unknown else ask.outcome
        mode = RuleMode.SHADOW if quiet >> i & 1 else ask.mode
        acts = bool(outcome) and mode is RuleMode.ENFORCE
        told = outcome or ask.outcome
        rule_hits.append(RuleHit(ask.name, told, mode, unknown, acts and ask.case))
        if acts:
            enforced.append((ask.priority, outcome, ask, -1 if unknown else i))
    if not enforced:
        return Ruling(Outcome.UNSPECIFIED, tuple(rule_hits))
    top = max(priority for priority, *_ in enforced)
    decided = max(outcome for priority, outcome, *_ in enforced if priority == top)
    reasons, clauses = _reasons(enforced, decided)
    return Ruling(decided, tuple(rule_hits), reasons, clauses)


def _reasons(
    enforced: list[tuple[int, Outcome, ClauseAsk, int]], decided: Outcome
) -> tuple[tuple[Reason, ...], tuple[int, ...]]:
    """Reasons that agree with what was decided, strictest first, one a code."""
    exempt = decided is Outcome.APPROVE
    agreeing = [
        entry
        for entry in enforced
        if (entry[1] is Outcome.APPROVE) is exempt and entry[1] <= decided
    ]
    agreeing.sort(key=lambda entry: (-entry[1], -entry[0]))
    reasons: dict[str, Reason] = {}
    clauses: list[int] = []
    for _, _, ask, clause in agreeing:
        reason = ask.reason(unknown=clause < 0)
        if reason.code not in reasons:
            reasons[reason.code] = reason
            clauses.append(clause)
    return tuple(reasons.values()), tuple(clauses)
