"""The breaker: a rule, or a whole policy, that suddenly declines too much is stopped.

Counted are decisions and declines by event time. What is usual is the share of the
same hour of the last seven days; of a rule without history, the share that its
backtest told, else a stated one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from scoring.core.decision.decision import DecisionCore, Outcome, RuleMode
from scoring.core.policy.let_through import LIST_PREFIX
from scoring.core.policy.policy_file import Breaker, PolicyFile, Rule, RuleBreaker

BUCKET_MS = 10_000
WINDOW_BUCKETS = 30  # five minutes
# Where few pay, five minutes never hold enough declines to tell a share by: there so
# many payments are looked at, up to an hour back.
QUIET_PAYMENTS = 200
QUIET_BUCKETS = 360
HOUR_MS = 3_600_000
HISTORY_DAYS = 7
WHOLE = "*"  # all declines of a policy but those of lists; no rule is named so
# Without history and backtest: what a rule, and what a policy is taken to decline.
RULE_EXPECTED = 0.01
POLICY_EXPECTED = 0.05
# So many decisions at the expected share weigh as much as history does, and at the
# usual share as the window does: a few payments prove little.
_HISTORY_SMOOTHING = 1_000
_WINDOW_SMOOTHING = 20
_ACCEPTED_PARTS = 3  # where three times as many declines are impossible: see `limit`
_KEY_CHARACTERS = 8

Window = Sequence[tuple[float, int]]  # (decisions, declines) by bucket, newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What watches one rule, or (`WHOLE`) a policy.

    `key` names the rule and what it says: rewritten, it has no history. `share` of
    the payments it acts on. `unknown` says that it declines where it is unknown.
    """

    rule: str
    key: str
    declines_min: int
    times: float
    expected: float
    share_min: float = 0.0
    share: float = 1.0
    unknown: bool = False
    then: Literal["shadow", "review"] = "shadow"

    def usual(self, decisions: float, declines: float) -> float:
        """The usual share, from what was counted in the same hours."""
        prior = self.expected * _HISTORY_SMOOTHING
        return (declines + prior) / (decisions + _HISTORY_SMOOTHING)

    def is_quiet(self, decisions: float) -> bool:
        """Whether five minutes with so many decisions are too few to look at."""
        return decisions * self.share < QUIET_PAYMENTS

    def limit(self, usual: float) -> float:
        """The share of declines above which it is stopped.

        A multiple of the usual one; where that is no share any more, the one at which
        a third of what is usually accepted is left.
        """
        accepted = 1 - (1 - usual) / _ACCEPTED_PARTS
        return max(min(self.times * usual, accepted), self.share_min)


@dataclass(frozen=True, slots=True)
class Excess:
    """Too many declines: `share` of `decisions`, smoothed, is above the `limit`."""

    declines: int
    decisions: int
    share: float
    limit: float


def excess(window: Window, usual: float, guard: Guard) -> Excess | None:
    """Whether the newest of a window holds too many declines.

    Looked at are the newest buckets that hold `declines_min` declines: enough to tell
    a share by, and no more, so that what was before does not hide what is now. They
    lie within five minutes, or within the newest `QUIET_PAYMENTS`.

    >>> guard = Guard(rule="r", key="r", declines_min=50, times=3, expected=0.01)
    >>> excess([(40, 1), (4_000, 40)], 0.01, guard) is None
    True
    >>> excess([(60, 50), (4_000, 40)], 0.01, guard).declines
    50
    >>> excess([(1, 1)] * 60, 0.01, guard).declines
    50
    """
    decisions, declines = 0.0, 0
    for place, (of_bucket, declined) in enumerate(window[:QUIET_BUCKETS]):
        if place >= WINDOW_BUCKETS and not guard.is_quiet(decisions):
            return None
        decisions += of_bucket
        declines += declined
        if declines >= guard.declines_min:
            break
    else:
        return None
    decisions = max(decisions * guard.share, declines)
    share = (declines + usual * _WINDOW_SMOOTHING) / (decisions + _WINDOW_SMOOTHING)
    limit = guard.limit(usual)
    if share <= limit:
        return None
    return Excess(declines, round(decisions), share, limit)


def guards_of(file: PolicyFile) -> Mapping[str, Guard]:
    """What watches a policy: by rule, those that decline; and the policy as a whole."""
    defaults = file.breaker or Breaker()
    watched = [
        rule
        for rule in file.rules
        if rule.mode == "enforce" and "decline" in {rule.then, rule.on_missing}
    ]
    own = {rule.id: rule.breaker or RuleBreaker() for rule in watched}
    guards = {
        rule.id: _of_rule(rule, own[rule.id], defaults)
        for rule in watched
        if not (defaults.off or own[rule.id].off)
    }
    if not defaults.off:
        guards[WHOLE] = Guard(
            rule=WHOLE,
            key=WHOLE,
            declines_min=defaults.declines_min,
            times=defaults.times,
            expected=defaults.expected or POLICY_EXPECTED,
            then="review",
        )
    return guards


def _of_rule(rule: Rule, own: RuleBreaker, defaults: Breaker) -> Guard:
    said = f"{rule.when}\n{rule.then}\n{rule.on_missing}"
    written = sha256(said.encode()).hexdigest()[:_KEY_CHARACTERS]
    return Guard(
        rule=rule.id,
        key=f"{rule.id}.{written}",
        declines_min=own.declines_min or defaults.declines_min,
        times=own.times or defaults.times,
        expected=own.expected or RULE_EXPECTED,
        share_min=own.share_min or 0.0,
        share=rule.rollout or 1.0,
        unknown=rule.on_missing == "decline",
        then=own.then or defaults.then,
    )


def declining(core: DecisionCore, guards: Mapping[str, Guard]) -> list[str]:
    """The rules that asked for a decline that was decided, and `WHOLE`.

    Nothing where the payment was not declined; not `WHOLE` where a list asked for it.
    """
    if core.outcome is not Outcome.DECLINE:
        return []
    found, listed = [], False
    for hit in core.rule_hits:
        if hit.mode is RuleMode.ENFORCE and hit.outcome is Outcome.DECLINE:
            guard = guards.get(hit.rule)
            listed = listed or hit.rule.startswith(LIST_PREFIX)
            if guard is not None and (guard.unknown or not hit.unknown):
                found.append(hit.rule)
    return found if listed or WHOLE not in guards else [*found, WHOLE]
