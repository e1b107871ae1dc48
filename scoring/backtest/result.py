"""What a backtest found: classes, flips, rules and curves, as values and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.backtest.intervals import Interval, wilson
from scoring.backtest.source import JudgedSpan
from scoring.core.decision.decision import Outcome
from scoring.replay.flips import Flips
from scoring.replay.slices import GENUINE, PaymentClass, PaymentSum, Slice, sum_of

FORMAT = 1  # of the JSON: raised where a name goes or changes its meaning


@dataclass(frozen=True, slots=True)
class SideFigures:
    """What one version does with the eligible payments; `outcomes` has all four."""

    version: str
    name: str
    outcomes: Mapping[Outcome, Slice]

    def at_least(self, outcome: Outcome) -> Slice:
        """The payments that get this outcome, or a stricter one."""
        return sum_of(part for o, part in self.outcomes.items() if o >= outcome)

    @property
    def classes(self) -> dict[str, PaymentSum]:
        """The payments by what it does with what they turned out to be.

        Fraud is caught where it is not approved outright. What we declined then, what
        is not yet labelled and what nothing is known of are no success of anyone's.
        """
        approved = self.outcomes[Outcome.APPROVE]
        declined = self.outcomes[Outcome.DECLINE]
        stopped, every = (
            self.at_least(Outcome.CHALLENGE),
            self.at_least(Outcome.APPROVE),
        )
        held = sum_of(self.outcomes[o] for o in (Outcome.CHALLENGE, Outcome.REVIEW))
        return {
            "fraud_caught": stopped.of(PaymentClass.FRAUD),
            "fraud_declined": declined.of(PaymentClass.FRAUD),
            "fraud_missed": approved.of(PaymentClass.FRAUD),
            "refunded_declined": declined.of(PaymentClass.REFUNDED),
            "refunded_others": sum_of([approved, held]).of(PaymentClass.REFUNDED),
            "legitimate_refused": declined.of(*GENUINE),
            "legitimate_held": held.of(*GENUINE),
            "legitimate_approved": approved.of(*GENUINE),
            "declined_by_us": every.of(PaymentClass.DECLINED),
            "not_yet_labelled": every.of(PaymentClass.PENDING),
            "unknown": every.of(PaymentClass.UNKNOWN),
        }


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """One rule or list of the new version.

    `quiet` are the hits outside its rollout's share, where it acts as shadow;
    `declined` the hits that are declined, by this rule or for another reason, and
    `declined_in` the same by the thresholds' segments, currencies aside;
    `alone` the payments whose outcome is milder without it; `unknown` how many left it
    unknown; `overlaps` the others that held with it, most frequent first.
    """

    rule: str
    mode: str
    asks: str
    owner: str
    hits: Slice
    quiet: Slice
    declined: Slice
    declined_in: Mapping[str, Slice]
    alone: Slice
    unknown: int
    overlaps: Mapping[str, int]
    last_hit_ms: int | None


@dataclass(frozen=True, slots=True)
class SegmentFigures:
    """What the new version does in one segment of its thresholds."""

    segment: str
    outcomes: Mapping[Outcome, Slice]


@dataclass(frozen=True, slots=True)
class CurveCell:
    """Payments of one bin of the score, for which the score is asked.

    `floor` is what is decided where the score asks for nothing.
    """

    bin: int
    floor: Outcome
    found: PaymentClass
    sum: PaymentSum


@dataclass(frozen=True, slots=True)
class Curve:
    """The score's histogram of one segment of the new version's thresholds."""

    segment: str
    levels: tuple[float | None, float | None, float | None]
    cells: tuple[CurveCell, ...]


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """An old and a new version over the same eligible payments.

    `skipped` counts the payments that were not eligible, by cause; `samples` has
    payments of each flip, (tenant, id). Of the payments that the old version itself
    decided, `differing` were recorded with another outcome. `lists` says as of when
    managed lists were asked, `assumes` what else is taken for granted.
    """

    old: SideFigures
    new: SideFigures
    features: str
    currency: str
    span: JudgedSpan
    eligible: int
    skipped: Mapping[str, int]
    flips: Flips
    samples: Mapping[str, tuple[tuple[str, str], ...]]
    rules: tuple[RuleFigures, ...]
    segments: tuple[SegmentFigures, ...]
    curves: tuple[Curve, ...]
    decided_by_old: int
    differing: int
    lists: tuple[Mapping[str, Any], ...] = ()
    assumes: tuple[str, ...] = ()

    @property
    def accepted(self) -> PaymentSum:
        """What the old version does not decline."""
        others = (o for o in Outcome if o and o is not Outcome.DECLINE)
        return sum_of(self.old.outcomes[outcome] for outcome in others).all

    @property
    def newly_declined(self) -> PaymentSum:
        """What of that the new version declines."""
        declining = f"→ {Outcome.DECLINE.name.lower()}"
        flips = self.flips.outcomes.items()
        return sum_of(part for flip, part in flips if flip.endswith(declining)).all

    @property
    def accepted_then_declined(self) -> tuple[float, float]:
        """The share of what the old version accepts that the new one declines.

        By count and by amount, in the reference currency; what it declines less is not
        set against it.
        """
        accepted, declined = self.accepted, self.newly_declined
        return (
            declined.count / accepted.count if accepted.count else 0.0,
            declined.reference_minor / accepted.reference_minor
            if accepted.reference_minor
            else 0.0,
        )

    @property
    def unlabelled_share(self) -> float:
        """The share of the eligible payments that are not yet labelled."""
        pending = self.new.at_least(Outcome.APPROVE).of(PaymentClass.PENDING).count
        return pending / self.eligible if self.eligible else 0.0


def backtest_json(found: BacktestResult) -> str:
    """The result for a program; amounts are minor units, shares from 0 to 1."""
    return json.dumps(plain(found), indent=1) + "\n"


def plain(found: BacktestResult) -> dict[str, Any]:
    """The result as JSON holds it."""
    by_count, by_amount = found.accepted_then_declined
    return {
        "format": FORMAT,
        "old": _side(found.old),
        "new": _side(found.new),
        "features": found.features,
        "reference_currency": found.currency,
        "lists": [dict(told) for told in found.lists],
        "assumes": list(found.assumes),
        "span": {
            "tenant": found.span.tenant or None,
            "from_ms": found.span.from_ms,
            "until_ms": found.span.until_ms,
            "now_ms": found.span.now_ms,
            "label_delay_ms": found.span.delay_ms,
            "newest_label_ms": found.span.newest_label_ms,
        },
        "eligible": found.eligible,
        "skipped": dict(found.skipped),
        "not_yet_labelled_share": found.unlabelled_share,
        "accepted": sum_json(found.accepted),
        "newly_declined": {
            **sum_json(found.newly_declined),
            "share_by_count": round(by_count, 9),
            "share_by_amount": round(by_amount, 9),
        },
        "decided_by_old": found.decided_by_old,
        "differing_from_recorded": found.differing,
        "flips": _flips(found),
        "rules": [_rule(line) for line in found.rules],
        "curves": [_curve(curve) for curve in found.curves],
    }


def _flips(found: BacktestResult) -> dict[str, Any]:
    return {
        "outcomes": {
            flip: {**slice_json(part), "sample": _payments(found.samples, flip)}
            for flip, part in found.flips.outcomes.items()
        },
        "rules": [
            {"rule": rule, "what": what, "flip": flip, **slice_json(part)}
            for (rule, what, flip), part in found.flips.rules.items()
        ],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    levels = zip(("challenge", "review", "decline"), curve.levels, strict=True)
    bins = [
        {
            "bin": cell.bin,
            "floor": cell.floor.name.lower(),
            "class": cell.found.value,
            **sum_json(cell.sum),
        }
        for cell in curve.cells
    ]
    return {"segment": curve.segment, "levels": dict(levels), "bins": bins}


def _payments(
    samples: Mapping[str, tuple[tuple[str, str], ...]], flip: str
) -> list[dict[str, str]]:
    return [{"tenant": tenant, "id": id_} for tenant, id_ in samples.get(flip, ())]


def _side(side: SideFigures) -> dict[str, Any]:
    return {
        "version": side.version,
        "name": side.name,
        "classes": {name: sum_json(tally) for name, tally in side.classes.items()},
        "outcomes": {
            outcome.name.lower(): slice_json(part)
            for outcome, part in side.outcomes.items()
        },
    }


def _rule(line: RuleFigures) -> dict[str, Any]:
    return {
        "rule": line.rule,
        "mode": line.mode,
        "asks": line.asks,
        "owner": line.owner,
        "hits": slice_json(line.hits),
        "quiet": slice_json(line.quiet),
        "declined": slice_json(line.declined),
        "alone": slice_json(line.alone),
        "unknown": line.unknown,
        "overlaps": dict(line.overlaps),
        "last_hit_ms": line.last_hit_ms,
    }


def slice_json(part: Slice) -> dict[str, Any]:
    """A slice by truth, with its precision and the 95 % interval of that."""
    by_truth = {
        t.value: sum_json(part.tallies[t]) for t in PaymentClass if t in part.tallies
    }
    precision = None if part.precision is None else round(part.precision, 9)
    sure = precision_interval(part)
    return {
        "count": part.count,
        "precision": precision,
        "precision_interval": sure and [round(edge, 9) for edge in sure],
        "by_truth": by_truth,
    }


def precision_interval(part: Slice) -> Interval | None:
    """How sure a slice's precision is: 95 %; None where nothing of it is known."""
    frauds = part.of(PaymentClass.FRAUD).weight
    return wilson(frauds, frauds + part.of(*GENUINE).weight)


def sum_json(tally: PaymentSum) -> dict[str, Any]:
    """Payments of one kind."""
    return {
        "count": tally.count,
        "amounts_minor": dict(sorted(tally.amounts.items())),
        "reference_minor": tally.reference_minor,
        # Sums of fractions, whose last digits depend on the order.
        "weight": round(tally.weight, 6),
        "weighted_minor": round(tally.weighted_minor, 3),
    }
