"""The larger model beside the first one: when it is asked, and what both are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring.core.model.bundle import Band, Calibration, Deeper, rounded
from scoring.training.fit import Boosting
from scoring.training.model_trainer import Ground
from scoring.training.package import Compiled
from scoring.training.quality import Quality, quality_report
from scoring.training.second_look import (
    BandChoice,
    SecondLookPlan,
    average_precisions,
    choose,
)
from scoring.training.tune import Log, folds_of


@dataclass(frozen=True, slots=True)
class Deepened:
    """A larger model, what the manifest tells of it, and the quality of both looks."""

    model: Compiled
    told: Deeper
    quality: Quality


def deepened(
    ground: Ground, first: Compiled, settings: Boosting, wanted: SecondLookPlan
) -> tuple[Deepened | None, Log]:
    """Train a larger model beside the `first`, which was fitted by `settings`.

    None where none pays; the log then says what was compared.
    """
    choice = _choice(ground, first, settings, wanted)
    if choice.band is None:
        return None, choice.log
    second = ground.compiled(wanted.boosting)
    quality, metrics = _judged(ground, first, second, choice.band)
    told = Deeper(
        band=choice.band,
        calibration=Calibration(
            slope=second.platt.slope, intercept=second.platt.intercept
        ),
        reason_method=second.reasons.method,
        reason_base=second.reasons.base,
        parameters=wanted.boosting.as_dict(),
        metrics=rounded(metrics),
        selection=choice.log,
    )
    return Deepened(second, told, quality), ()


def _choice(
    ground: Ground, first: Compiled, settings: Boosting, wanted: SecondLookPlan
) -> BandChoice:
    if wanted.band is not None:
        return BandChoice(wanted.band, ())
    span = (ground.split.from_ms, ground.split.fitted_ms)
    shares = choose(
        ground.dataset,
        folds_of(ground.dataset, span, ground.label_delay_ms),
        models=(settings, wanted.boosting),
        seed=ground.seed,
        report=ground.report,
    )
    scores, _ = ground.scored(first, ground.calibrating)
    return shares.among(scores.astype(np.float32))


def _judged(
    ground: Ground, first: Compiled, second: Compiled, band: Band
) -> tuple[Quality, dict[str, float | None]]:
    """The quality of both looks together, and of each alone."""
    dataset, rows = ground.dataset, ground.judging
    sure, sure_odds = ground.scored(first, rows)
    again, again_odds = ground.scored(second, rows)
    due = band.holds(sure.astype(np.float32))
    quality = quality_report(
        np.where(due, again, sure),
        dataset.fraud[rows],
        customers=dataset.customers[rows],
        days=dataset.days[rows],
        ranking=np.where(due, again_odds, sure_odds),
    )
    fraud = dataset.fraud[rows]
    return quality, average_precisions(sure_odds, again_odds, due, fraud)
