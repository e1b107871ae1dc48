"""What outcomes cost, as a file says it, and the levels that cost least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from scoring.backtest.result import Curve
from scoring.backtest.trial import BINS
from scoring.core import document
from scoring.core.decision.decision import Outcome
from scoring.core.document import FormatVersion
from scoring.core.policy.policy_file import Part
from scoring.errors import BadArtifact
from scoring.replay.slices import GENUINE, PaymentClass

Payments = tuple[float, float]  # how many, and their amount in minor units
Minor = Annotated[float, Field(ge=0, le=1e12)]
Share = Annotated[float, Field(ge=0, le=1)]
Levels = tuple[float | None, float | None, float | None]
FRAUDS_MIN = 30  # fewer say nothing of where a level should lie
_BANDS = tuple(outcome for outcome in Outcome if outcome)


class Loss(Part):
    """What one payment costs: a share of its amount, and a sum; reference currency."""

    share: Annotated[float, Field(ge=0, le=10)] = 0.0
    fixed_minor: Minor = 0.0

    def of(self, count: float, amount_minor: float) -> float:
        """What so many payments cost together, minor units."""
        return self.share * amount_minor + self.fixed_minor * count


class ChallengeCost(Part):
    """A step-up: its price, who does not come back from it, which fraud passes it."""

    fixed_minor: Minor = 0.0
    genuine_abandons: Share
    fraud_passes: Share


class ReviewCost(Part):
    """A person's look: its price, the fraud that it finds, whom it refuses wrongly."""

    fixed_minor: Minor
    fraud_found: Share
    genuine_refused: Share = 0.0


class Costs(Part):
    """What each outcome costs for a payment that is fraud, and for one that is not."""

    missed_fraud: Loss
    refused_customer: Loss
    challenge: ChallengeCost
    review: ReviewCost

    def of(self, outcome: Outcome, fraud: Payments, genuine: Payments) -> float:
        """What an outcome costs for these payments, minor units."""
        missed = self.missed_fraud.of(*fraud)
        refused = self.refused_customer.of(*genuine)
        count = fraud[0] + genuine[0]
        if outcome is Outcome.APPROVE:
            return missed
        if outcome is Outcome.CHALLENGE:
            step = self.challenge
            lost = step.fraud_passes * missed + step.genuine_abandons * refused
            return step.fixed_minor * count + lost
        if outcome is Outcome.REVIEW:
            look = self.review
            lost = (1 - look.fraud_found) * missed + look.genuine_refused * refused
            return look.fixed_minor * count + lost
        return refused


class CostFile(Part):
    """The costs of all payments, and those of segments that differ, by their names."""

    version: FormatVersion
    costs: Costs
    segments: dict[str, Costs] = Field(default_factory=dict, max_length=1_000)

    def of(self, segment: str) -> Costs:
        """The costs of a segment of the thresholds, by its name."""
        return self.segments.get(segment, self.costs)

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Raises `BadArtifact` for costs of a segment that is none of these."""
        for name in self.segments:
            if name not in known:
                raise BadArtifact(
                    f"costs: segments: {name!r} is no segment of the thresholds; "
                    f"known: {'; '.join(known)}"
                )


@dataclass(frozen=True, slots=True)
class Cheapest:
    """One segment: its levels now, those that cost least, and what both cost.

    `kept` says why levels were kept as they are; "" where they were chosen. `costs`
    are by the level of decline, one for each bin, the other levels as chosen.
    """

    segment: str
    now: Levels
    chosen: Levels
    cost_now_minor: float
    cost_minor: float
    frauds: int
    kept: str
    costs: tuple[float, ...]


def load_costs(text: str, *, name: str) -> CostFile:
    """The costs of a file; raises `BadArtifact` with line, field and remedy."""
    return document.load(text, CostFile, name=name)


def cheapest(curves: Sequence[Curve], costs: CostFile) -> list[Cheapest]:
    """The levels that cost least, for each segment of the thresholds.

    Only payments count of which it is known whether they were fraud, and whose outcome
    the score can change. Raises `BadArtifact` for costs of a segment that is none.
    """
    costs.refuse_unknown([curve.segment for curve in curves])
    return [_cheapest(curve, costs.of(curve.segment)) for curve in curves]


def _cheapest(curve: Curve, costs: Costs) -> Cheapest:
    frauds = sum(
        cell.sum.count for cell in curve.cells if cell.found is PaymentClass.FRAUD
    )
    by_band = _by_band(curve, costs)
    now = _edges(curve.levels)
    edges, kept = _best(by_band), ""
    if frauds < FRAUDS_MIN:
        edges, kept = now, f"only {frauds} frauds are known: {FRAUDS_MIN} are needed"
    chosen = curve.levels if kept else tuple(map(_level, edges))
    return Cheapest(
        segment=curve.segment,
        now=curve.levels,
        chosen=chosen,  # type: ignore[arg-type]
        cost_now_minor=_cost(by_band, now),
        cost_minor=_cost(by_band, edges),
        frauds=frauds,
        kept=kept,
        costs=_by_decline(by_band, edges),
    )


def _by_band(curve: Curve, costs: Costs) -> NDArray[np.float64]:
    """(outcomes, bins): what a bin costs where the score asks for an outcome."""
    sums: dict[tuple[int, Outcome, bool], tuple[float, float]] = {}
    for cell in curve.cells:
        if cell.found is PaymentClass.FRAUD or cell.found in GENUINE:
            key = (cell.bin, cell.floor, cell.found is PaymentClass.FRAUD)
            count, amount = sums.get(key, (0.0, 0.0))
            sums[key] = (count + cell.sum.weight, amount + cell.sum.weighted_minor)
    found = np.zeros((len(_BANDS), BINS))
    for (bin_, floor, is_fraud), payments in sums.items():
        nothing = (0.0, 0.0)
        both = (payments, nothing) if is_fraud else (nothing, payments)
        for i, band in enumerate(_BANDS):
            found[i, bin_] += costs.of(max(floor, band), *both)
    return found


def _best(by_band: NDArray[np.float64]) -> tuple[int, ...]:
    """The bins from which each outcome applies, at least cost; milder where equal."""
    below = _below(by_band)
    first = np.arange(BINS + 1)
    cost, edges = below[0].copy(), []
    cost[0] = np.inf  # a level is above 0: the first bin is approved
    for band in range(1, len(by_band)):
        # The best edge below or at each: what was before it, less what is not asked.
        until = cost - below[band]
        best = np.zeros(BINS + 1, int)
        for i in range(1, BINS + 1):
            best[i] = i if until[i] <= until[best[i - 1]] else best[i - 1]
        edges.append(best)
        cost = until[best] + below[band]
    found, at = [], int(first[-1])
    for best in reversed(edges):
        at = int(best[at])
        found.append(at)
    return tuple(reversed(found))


def _cost(by_band: NDArray[np.float64], edges: Sequence[int]) -> float:
    spans = pairwise((0, *edges, BINS))
    return float(
        sum(by_band[i, first:end].sum() for i, (first, end) in enumerate(spans))
    )


def _by_decline(
    by_band: NDArray[np.float64], edges: Sequence[int]
) -> tuple[float, ...]:
    """What each level of decline costs, the other levels as chosen, or at it."""
    below = _below(by_band)
    decline = np.arange(1, BINS + 1)
    places = [np.minimum(edge, decline) for edge in edges[:-1]]
    places = [np.zeros_like(decline), *places, decline, np.full_like(decline, BINS)]
    spans = zip(below, pairwise(places), strict=True)
    costs = sum(band[end] - band[first] for band, (first, end) in spans)
    return tuple(np.asarray(costs).tolist())


def _below(by_band: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the bins below an edge cost under an outcome, for each edge."""
    none = np.zeros((len(by_band), 1))
    return np.concatenate([none, by_band.cumsum(axis=1)], axis=1)


def _edges(levels: Levels) -> tuple[int, ...]:
    """The bins from which each outcome applies; a stricter one's level wins.

    A level that is not written lies nowhere: up to the next stricter one's the
    outcome before it applies.

    >>> _edges((None, None, 0.9)), _edges((0.3, None, 0.9))
    ((900, 900, 900), (300, 900, 900))
    """
    edges = [_edge(level) for level in levels]
    return tuple(min(edges[place:]) for place in range(len(edges)))


def _edge(level: float | None) -> int:
    """The bin of a level; a level between two edges counts as the nearer."""
    return BINS if level is None else max(1, round(level * BINS))


def _level(edge: int) -> float | None:
    return None if edge >= BINS else edge / BINS


def total(found: Sequence[Cheapest]) -> Mapping[str, float]:
    """What all segments cost now and by the levels chosen, minor units."""
    return {
        "now": sum(one.cost_now_minor for one in found),
        "chosen": sum(one.cost_minor for one in found),
    }
