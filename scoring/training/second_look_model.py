"""The larger model beside the first one: when it is asked, and what both are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring.core.model.bundle import Band, Calibration, Deeper, rounded
from scoring.training.fit import Boosting
from scoring.training.model_trainer import ModelTrainer
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
class SecondLookModel:
    """A larger model, what the manifest tells of it, and the quality of both looks."""

    model: Compiled
    told: Deeper
    quality: Quality


def trained_second_look(
    trainer: ModelTrainer, first: Compiled, settings: Boosting, wanted: SecondLookPlan
) -> tuple[SecondLookModel | None, Log]:
    """Train a larger model beside the `first`, which was fitted by `settings`.

    None where none pays; the log then says what was compared.
    """
    choice = _choice(trainer, first, settings, wanted)
    if choice.band is None:
        return None, choice.log
    second = trainer.compiled(wanted.boosting)
    quality, metrics = _judged(trainer, first, second, choice.band)
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
    return SecondLookModel(second, told, quality), ()


def _choice(
    trainer: ModelTrainer, first: Compiled, settings: Boosting, wanted: SecondLookPlan
) -> BandChoice:
    if wanted.band is not None:
        return BandChoice(wanted.band, ())
    span = (trainer.split.from_ms, trainer.split.fitted_ms)
    shares = choose(
        trainer.dataset,
        folds_of(trainer.dataset, span, trainer.label_delay_ms),
        models=(settings, wanted.boosting),
        seed=trainer.seed,
        report=trainer.report,
    )
    scores, _ = trainer.scored(first, trainer.calibrating)
    return shares.among(scores.astype(np.float32))


def _judged(
    trainer: ModelTrainer, first: Compiled, second: Compiled, band: Band
) -> tuple[Quality, dict[str, float | None]]:
    """The quality of both looks together, and of each alone."""
    dataset, rows = trainer.dataset, trainer.judging
    sure, sure_odds = trainer.scored(first, rows)
    again, again_odds = trainer.scored(second, rows)
    due = band.holds(sure.astype(np.float32))
    quality = quality_report(
        np.where(due, again, sure),
        dataset.fraud[rows],
        weights=dataset.weights_of(rows),
        card_days=dataset.card_days(rows),
        ranking=np.where(due, again_odds, sure_odds),
    )
    fraud = dataset.fraud[rows]
    return quality, average_precisions(sure_odds, again_odds, due, fraud)
