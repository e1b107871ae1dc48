"""What each rule of the new version did, added up over combinations of masks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from scoring.backtest.result import RuleFigures
from scoring.backtest.segments import segment_name
from scoring.backtest.trial import Combination, Trial
from scoring.core.decision.decision import Outcome
from scoring.replay.slices import Slice

# By segment, and within it by combination or by outcome.
SegmentParts = dict[tuple[int, int], Slice]
_OVERLAPS = 10  # of each rule: the others that held with it most often


@dataclass(slots=True)
class RuleCount:
    """The sums of one rule while combinations are gone through."""

    hits: Slice = field(default_factory=Slice)
    quiet: Slice = field(default_factory=Slice)
    declined: Slice = field(default_factory=Slice)
    declined_in: dict[str, Slice] = field(default_factory=dict)
    alone: Slice = field(default_factory=Slice)
    unknown: int = 0
    overlaps: Counter[str] = field(default_factory=Counter)
    last_ms: int | None = None

    @property
    def most_with(self) -> dict[str, int]:
        """The others that held with it, most frequent first."""
        ordered = sorted(self.overlaps.items(), key=lambda item: (-item[1], item[0]))
        return dict(ordered[:_OVERLAPS])


def rule_figures(
    trial: Trial, parts: dict[int, Slice], declined: SegmentParts
) -> tuple[RuleFigures, ...]:
    """The figures of each rule and list; `parts` are payments by combination.

    `declined` are the declined by segment and combination: costs differ by segment.
    """
    asks = trial.new.policy.asks
    counts = [RuleCount() for _ in asks]
    newest = dict(
        trial.con.execute("SELECT new, max(last_ms) FROM groups GROUP BY 1").fetchall()
    )
    for combination, part in parts.items():
        found = trial.found["new"][combination]
        _count(trial, counts, found, part)
        for i in _bits(trial.new.read(found.key)[0]):
            counts[i].last_ms = max(counts[i].last_ms or 0, newest[combination])
    _count_declined(trial, counts, declined)
    owners = {rule.id: rule.owner for rule in trial.new.policy.file.rules}
    return tuple(
        RuleFigures(
            rule=ask.name,
            mode=ask.mode.name.lower(),
            asks=ask.outcome.name.lower(),
            owner=owners.get(ask.name, ""),
            hits=own.hits,
            quiet=own.quiet,
            declined=own.declined,
            declined_in=own.declined_in,
            alone=own.alone,
            unknown=own.unknown,
            overlaps=own.most_with,
            last_hit_ms=own.last_ms,
        )
        for ask, own in zip(asks, counts, strict=True)
    )


def _count(
    trial: Trial, counts: list[RuleCount], found: Combination, part: Slice
) -> None:
    side = trial.new
    hits, unknowns, quiet, *_ = side.read(found.key)
    names = [side.policy.asks[i].name for i in _bits(hits)]
    for i in _bits(hits):
        own = counts[i]
        own.hits.add(part)
        if quiet >> i & 1:
            own.quiet.add(part)
        if found.outcome is Outcome.DECLINE:
            own.declined.add(part)
        if side.without(found.key, i) < found.outcome:
            own.alone.add(part)
        for name in names:
            if name != side.policy.asks[i].name:
                own.overlaps[name] += part.count
    for i in _bits(unknowns):
        counts[i].unknown += part.count


def _count_declined(
    trial: Trial, counts: list[RuleCount], declined: SegmentParts
) -> None:
    """What is declined, by the segments whose costs may differ."""
    for (segment, combination), part in declined.items():
        found = trial.found["new"][combination]
        name = segment_name(trial.new.policy, segment)
        for i in _bits(trial.new.read(found.key)[0]):
            counts[i].declined_in.setdefault(name, Slice()).add(part)


def _bits(mask: int) -> list[int]:
    """The places of the bits that are set.

    >>> _bits(0b1010)
    [1, 3]
    """
    return [i for i in range(mask.bit_length()) if mask >> i & 1]
