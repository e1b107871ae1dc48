"""A bundle made from labelled rows: fit, calibrate, explain, judge, pack."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue
from scoring.core.model.bundle import Calibration, Manifest, Training, rounded
from scoring.models.explainer import exact_contributions
from scoring.training.calibrate import Platt
from scoring.training.dataset import (
    DAY_MS,
    Dataset,
    TimeSplit,
    refuse_answers,
    refuse_leaks,
    refuse_one_class,
    split_by_time,
)
from scoring.training.explain import grouped, top_overlap
from scoring.training.fit import Boosting, margins
from scoring.training.losses import LOST_SHARE, Losses
from scoring.training.model_trainer import Groups, ModelTrainer
from scoring.training.package import Compiled, baseline_of, run_graph, write_bundle
from scoring.training.progress import Report, silent
from scoring.training.quality import Quality, quality_report
from scoring.training.second_look import SecondLookPlan
from scoring.training.second_look_model import SecondLookModel, trained_second_look
from scoring.training.tune import Log, folds_of, tuned

_OVERLAP_ROWS_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train. `label_delay_ms`: labels become known that much later.

    With `candidates` the best of them is taken in place of `boosting`, chosen on
    the rows to fit alone; how each did is in the manifest. With `second_look` a
    larger model is trained too, and the scores for which it is asked are chosen.
    """

    boosting: Boosting = field(default_factory=Boosting)
    candidates: tuple[Boosting, ...] = ()
    second_look: SecondLookPlan | None = None
    label_delay_ms: int = 7 * DAY_MS
    seed: int = 0


def train_on(
    dataset: Dataset,
    out: Path,
    *,
    catalogue: Catalogue,
    recipe: Recipe | None = None,
    report: Report = silent,
) -> Manifest:
    """Train on a dataset and write the bundle to the directory `out`.

    Time alone splits the rows (see `split_by_time`); the figures in the manifest
    are of rows that neither fitting nor calibration saw. Raises `BadArtifact` for
    rows that cannot teach: one class, too few days, features that hold the answer.
    """
    recipe = recipe or Recipe()
    refuse_answers(dataset.names)
    split = split_by_time(dataset, label_delay_ms=recipe.label_delay_ms)
    fitting = dataset.rows(split.from_ms, split.fitted_ms)
    refuse_one_class(dataset.fraud[fitting], what="table: the rows to fit")
    refuse_leaks(dataset)
    recipe, selection = _chosen(dataset, split, recipe, report)
    groups = Groups.from_catalogue(catalogue)
    trainer = ModelTrainer(
        dataset,
        split,
        groups,
        Losses.from_catalogue(catalogue),
        label_delay_ms=recipe.label_delay_ms,
        seed=recipe.seed,
        report=report,
    )
    compiled = trainer.compiled(recipe.boosting)
    second: SecondLookModel | None = None
    unpaid: Log = ()
    if recipe.second_look is not None:
        second, unpaid = trained_second_look(
            trainer, compiled, recipe.boosting, recipe.second_look
        )
    report("judge", 0.0)
    manifest = _manifest(compiled, dataset, split, catalogue, recipe)
    training = manifest.training.model_copy(update={"selection": selection + unpaid})
    manifest = manifest.model_copy(update={"training": training})
    if second is not None:
        manifest = _of_both(manifest, second)
    held_out = dataset.rows(split.fitted_ms, split.until_ms)
    manifest = write_bundle(
        out,
        compiled,
        manifest,
        rows=dataset.matrix[held_out],
        second=second.model if second else None,
    )
    report("judge", 1.0)
    return manifest


def _chosen(
    dataset: Dataset, split: TimeSplit, recipe: Recipe, report: Report
) -> tuple[Recipe, Log]:
    """The recipe with its settings chosen, and the log of the choice."""
    if not recipe.candidates:
        return recipe, ()
    boosting, log = tuned(
        dataset,
        folds_of(dataset, (split.from_ms, split.fitted_ms), recipe.label_delay_ms),
        candidates=recipe.candidates,
        seed=recipe.seed,
        report=report,
    )
    return replace(recipe, boosting=boosting), log


def _manifest(
    compiled: Compiled,
    dataset: Dataset,
    split: TimeSplit,
    catalogue: Catalogue,
    recipe: Recipe,
) -> Manifest:
    judged = dataset.rows(split.evaluated_ms, split.until_ms)
    margin = margins(compiled.booster, dataset.matrix[judged]).astype(np.float64)
    scores = compiled.platt(margin)
    quality = judge(dataset, judged, margin=margin, platt=compiled.platt)
    fitting = dataset.rows(split.from_ms, split.fitted_ms)
    groups = Groups.from_catalogue(catalogue)
    overlap = reasons_overlap(compiled, dataset.matrix[judged], margin, groups)
    return Manifest(
        features_version=catalogue.version,
        feature_names=dataset.names,
        reason_groups=groups.names,
        reason_method=compiled.reasons.method,
        reason_base=compiled.reasons.base,
        files={},
        opset={},
        calibration=Calibration(
            slope=compiled.platt.slope, intercept=compiled.platt.intercept
        ),
        metrics=rounded(quality.as_dict() | {"reasons_overlap_top10": overlap}),
        baseline=baseline_of(dataset.matrix[judged], scores, dataset.names),
        training=Training(
            rows=int(fitting.sum()),
            frauds=int(dataset.fraud[fitting].sum()),
            from_ms=split.from_ms,
            until_ms=split.fitted_ms,
            calibrated_until_ms=split.calibrated_ms,
            evaluated_until_ms=split.until_ms,
            label_delay_ms=recipe.label_delay_ms,
            seed=recipe.seed,
            parameters=recipe.boosting.as_dict() | {"history_lost_share": LOST_SHARE},
        ),
    )


def _of_both(manifest: Manifest, second: SecondLookModel) -> Manifest:
    """The manifest of two models: its figures are of what both of them score."""
    metrics = manifest.metrics | rounded(second.quality.as_dict())
    return manifest.model_copy(update={"metrics": metrics, "deeper": second.told})


def judge(
    dataset: Dataset,
    rows: NDArray[np.bool_],
    *,
    margin: NDArray[np.float64],
    platt: Platt,
) -> Quality:
    """The quality of margins (of the chosen rows, in order) once calibrated."""
    return quality_report(
        platt(margin),
        dataset.fraud[rows],
        card_days=dataset.card_days(rows),
        ranking=margin,
        weights=dataset.weights_of(rows),
    )


def reasons_overlap(
    compiled: Compiled,
    rows: NDArray[np.float32],
    margin: NDArray[np.float64],
    groups: Groups,
) -> float:
    """Top-3 agreement with exact TreeSHAP, by group, on the top tenth of scores."""
    top = np.argsort(-margin)[: max(1, len(margin) // 10)]
    chosen = top[
        np.linspace(0, len(top) - 1, min(len(top), _OVERLAP_ROWS_MAX)).astype(int)
    ]
    exact = exact_contributions(compiled.booster, rows[chosen])[:, :-1]
    ours = run_graph(compiled.graph(), rows[chosen])["contributions"]
    return top_overlap(
        ours.astype(np.float64), grouped(exact, groups.of, count=len(groups.names))
    )
