"""The cheapest levels by figures that were kept, as the control plane asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from scoring.backtest.costs import CostFile, cheapest
from scoring.backtest.proposal import with_levels
from scoring.backtest.result import FORMAT, Curve, CurveCell
from scoring.control.desks.threshold_desk import CheapestLevels, ChosenLevels
from scoring.core.decision.decision import Outcome
from scoring.errors import BadArtifact, InvalidTransaction
from scoring.replay.slices import PaymentClass, PaymentSum

_LEVELS = ("challenge", "review", "decline")


def levels_by_cost(
    figures: Mapping[str, Any], text: str, costs: Mapping[str, Any]
) -> ChosenLevels:
    """The levels that cost least, and the version's text with them.

    `figures` are a backtest's as JSON holds them, `text` its new version's, `costs` as
    a cost file has them. Raises `BadArtifact`, and `InvalidTransaction` for costs.
    """
    if figures.get("format") != FORMAT:
        raise BadArtifact("the figures are of another release; run the backtest again")
    try:
        asked = CostFile.model_validate({"version": 1, **costs})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidTransaction(place, first["msg"]) from error
    found = cheapest(curves_of(figures["curves"]), asked)
    segments = [
        CheapestLevels(
            **{name: getattr(one, name) for name in CheapestLevels.__slots__}
        )
        for one in found
    ]
    return ChosenLevels(
        segments=tuple(segments),
        text=with_levels(text, found),
        currency=figures["reference_currency"],
    )


def curves_of(kept: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """The histograms of a backtest's JSON, as they were before they became that."""
    return [
        Curve(
            segment=curve["segment"],
            levels=tuple(curve["levels"][name] for name in _LEVELS),
            cells=tuple(map(_cell, curve["bins"])),
        )
        for curve in kept
    ]


def _cell(kept: Mapping[str, Any]) -> CurveCell:
    tally = PaymentSum(
        kept["count"],
        kept["amounts_minor"],
        kept["reference_minor"],
        kept["weight"],
        kept["weighted_minor"],
    )
    floor = Outcome[kept["floor"].upper()]
    return CurveCell(kept["bin"], floor, PaymentClass(kept["class"]), tally)
