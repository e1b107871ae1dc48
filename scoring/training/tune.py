"""Settings chosen by how they did on later rows, all before the judged ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadArtifact
from scoring.training.dataset import Dataset
from scoring.training.fit import Boosting, fit, margins
from scoring.training.progress import Report, silent
from scoring.training.quality import average_precision

# What is compared when choosing: few, so that the choice costs minutes at most.
CANDIDATES = (
    Boosting(rounds=300, rate=0.05, depth_max=4),
    Boosting(rounds=300, rate=0.05, depth_max=4, rows_share=0.7, columns_share=0.5),
    Boosting(rounds=150, rate=0.05, depth_max=4, rows_share=0.7, columns_share=0.5),
    Boosting(rounds=300, rate=0.05, depth_max=5, rows_share=0.7, columns_share=0.5),
    Boosting(rounds=400, rate=0.04, depth_max=6, rows_share=0.7, columns_share=0.3),
)
FOLDS = 4
# Genuine rows are thinned down to this when settings are compared, frauds never.
_ROWS_MAX = 200_000
Log = tuple[dict[str, float | int | str], ...]
Fold = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def tuned(
    dataset: Dataset,
    folds: Sequence[Fold],
    *,
    candidates: Sequence[Boosting],
    seed: int = 0,
    report: Report = silent,
) -> tuple[Boosting, Log]:
    """The candidate with the best mean average precision, and the log of all.

    `folds` is all that is looked at. Raises `BadArtifact` where there is none.
    """
    if not folds:
        raise BadArtifact("table: too short to compare settings; train without --tune")
    log: list[dict[str, float | int | str]] = []
    for index, candidate in enumerate(candidates):
        found = [_judged(dataset, fold, candidate, seed) for fold in folds]
        precision = round(float(np.mean(found)), 5)
        log.append(candidate.as_dict() | {"average_precision": precision})
        report("choose", (index + 1) / len(candidates))
    best = max(range(len(log)), key=lambda i: float(log[i]["average_precision"]))
    return candidates[best], tuple(log)


def folds_of(dataset: Dataset, span: tuple[int, int], delay_ms: int) -> list[Fold]:
    """Rows to train on and to judge by, all within `span`, where both hold frauds.

    The second half of `span` (from_ms, until_ms) in four parts, each judged by a model
    of the rows whose labels were known when it began.
    """
    first, until = span
    edges = np.linspace((first + until) / 2, until, FOLDS + 1).astype(np.int64).tolist()
    folds = [
        (dataset.rows(first, begins - delay_ms), dataset.rows(begins, ends))
        for begins, ends in pairwise(edges)
    ]
    return [fold for fold in folds if all(_both(dataset.fraud[rows]) for rows in fold)]


def _both(fraud: NDArray[np.bool_]) -> bool:
    return bool(fraud.any() and not fraud.all())


def _judged(dataset: Dataset, fold: Fold, candidate: Boosting, seed: int) -> float:
    train, test = thinned(dataset, fold[0]), fold[1]
    booster = fit(dataset.labelled(train), candidate, seed=seed)
    margin = margins(booster, dataset.matrix[test]).astype(np.float64)
    return average_precision(margin, dataset.fraud[test], dataset.weights_of(test))


def thinned(dataset: Dataset, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every fraud of the rows, and evenly spread genuine ones up to a bound."""
    every = max(1, int(rows.sum()) // _ROWS_MAX)
    kept = dataset.fraud | (np.arange(len(dataset)) % every == 0)
    return np.asarray(rows & kept)
