"""Thresholds over HTTP: the levels that cost least, by a backtest and its costs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from scoring.control.api.backtests import BacktestNumber
from scoring.control.api.plane import Visiting
from scoring.control.api.requests import StrictRoute
from scoring.control.api.views import View
from scoring.control.api.wishes import Wish
from scoring.control.desks.threshold_desk import CheapestLevels

router = APIRouter(prefix="/v1", tags=["backtests"], route_class=StrictRoute)
CURVES_MAX = 12  # of the segments with most frauds: more nobody reads
_SEGMENTS_MAX = 1_000
Minor = Annotated[float, Field(ge=0, le=1e12, description="Minor units.")]
Share = Annotated[float, Field(ge=0, le=1)]


class LossWish(Wish):
    """What one payment costs: a share of its amount, and a sum; reference currency."""

    share: Annotated[float, Field(ge=0, le=10)] = 0.0
    fixed_minor: Minor = 0.0


class ChallengeCostWish(Wish):
    """A step-up: its price, who does not come back from it, which fraud passes it."""

    fixed_minor: Minor = 0.0
    genuine_abandons: Share
    fraud_passes: Share


class ReviewCostWish(Wish):
    """A person's look: its price, the fraud that it finds, whom it refuses wrongly."""

    fixed_minor: Minor
    fraud_found: Share
    genuine_refused: Share = 0.0


class CostsWish(Wish):
    """What each outcome costs for a payment that is fraud, and for one that is not."""

    missed_fraud: LossWish
    refused_customer: LossWish
    challenge: ChallengeCostWish
    review: ReviewCostWish


class ThresholdsWish(Wish):
    """The costs of all payments, and those of segments that differ, by their names."""

    costs: CostsWish
    segments: Annotated[
        dict[str, CostsWish],
        Field(
            default_factory=dict,
            max_length=_SEGMENTS_MAX,
            description="By the segment's name in words.",
        ),
    ]


class SegmentLevelsView(View):
    """A segment: the levels of challenge, review and decline (null: never), and costs.

    `costs_minor` are by the level of decline, in equal steps up to 1; of the twelve
    segments with most frauds alone. `kept` says why levels stay as they are.
    """

    segment: str
    now: list[float | None]
    chosen: list[float | None]
    cost_now_minor: float
    cost_minor: float
    frauds: int
    kept: str
    costs_minor: list[float] | None

    @classmethod
    def of(cls, one: CheapestLevels, *, drawn: bool) -> SegmentLevelsView:
        """As the desk found it."""
        own: dict[str, Any] = {
            name: getattr(one, name)
            for name in cls.model_fields
            if name != "costs_minor"
        }
        costs = list(one.costs) if drawn else None
        return cls(**own | {"costs_minor": costs})


class ThresholdsView(View):
    """The levels that cost least, and the judged version's text with them."""

    policy: int | None
    currency: str
    segments: list[SegmentLevelsView]
    text: str


@router.post("/backtests/{number}/thresholds", operation_id="chooseThresholds")
def choose_thresholds(
    by: Visiting, number: BacktestNumber, wish: ThresholdsWish
) -> ThresholdsView:
    """Choose the thresholds that cost least; nothing is kept."""
    asked = wish.model_dump(exclude_unset=True)
    policy, found = by.plane.thresholds.chosen(by.person, number, asked)
    by_frauds = sorted(found.segments, key=lambda one: -one.frauds)
    drawn = {one.segment for one in by_frauds[:CURVES_MAX]}
    return ThresholdsView(
        policy=policy,
        currency=found.currency,
        segments=[
            SegmentLevelsView.of(one, drawn=one.segment in drawn)
            for one in found.segments
        ],
        text=found.text,
    )
