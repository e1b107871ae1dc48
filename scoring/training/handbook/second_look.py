"""What a second look is worth on the Handbook's protocol B, and what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.training.calibrate import fit_platt, sigmoid
from scoring.training.dataset import Dataset
from scoring.training.export import ensemble_graph
from scoring.training.fit import Boosting, fit, margins
from scoring.training.forest import forest_from_json
from scoring.training.handbook.protocols import (
    STARTS_B,
    STARTS_CHOICE,
    Fold,
    TrainingSpan,
    fold_of,
    thinned,
)
from scoring.training.progress import Report, silent
from scoring.training.quality import Quality, quality_report
from scoring.training.second_look import Ranked, SecondLookPlan, Shares, chosen

# The looks that are compared: the share of rows looked at again, from the top.
_SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 1.0)
_BATCH_ROWS = 256  # a busy door's batch
_TIMED = 21
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Tested:
    """One fold's test rows: what both models say, calibrated, as log-odds."""

    first: Floats
    larger: Floats
    due: NDArray[np.bool_]
    fold: Fold


def second_look(
    dataset: Dataset,
    first: Boosting,
    window: TrainingSpan,
    *,
    larger: Boosting | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """The band chosen on the earlier folds, and what it gives on the test folds.

    Figures are means over the folds of `first` alone, of `both` and of the `larger`
    alone; costs are microseconds a transaction, among 256 on one core.
    """
    models = (first, larger or SecondLookPlan().boosting)
    ranked = [
        _ranked(dataset, start, models, window=window, report=report)
        for start in STARTS_CHOICE
    ]
    shares = chosen(ranked)
    full = replace(window, thinned=1)
    tested, costs = [], []
    for done, start in enumerate(STARTS_B, 1):
        one, cost_us = _tested(dataset, start, models, window=full, shares=shares)
        tested.append(one)
        costs.append(cost_us)
        report("second look", done / len(STARTS_B))
    return _told(dataset, tested, shares) | _costs(tested, costs)


def _ranked(
    dataset: Dataset,
    start: int,
    models: tuple[Boosting, Boosting],
    *,
    window: TrainingSpan,
    report: Report,
) -> Ranked:
    fold = fold_of(dataset, start, train_from=window.train_from)
    train = thinned(dataset, fold.train, window.thinned)
    found = []
    for boosting in models:
        booster = fit(dataset.labelled(train), boosting)
        found.append(margins(booster, dataset.matrix[fold.test]).astype(np.float64))
    report("choose a band", 1.0)
    return Ranked(found[0], found[1], dataset.fraud[fold.test])


def _tested(
    dataset: Dataset,
    start: int,
    models: tuple[Boosting, Boosting],
    *,
    window: TrainingSpan,
    shares: Shares,
) -> tuple[_Tested, tuple[float, float]]:
    """Both models on a test fold; and microseconds a row of each."""
    fold = fold_of(dataset, start, train_from=window.train_from)
    odds, costs, before = [], [], np.empty(0)
    for boosting in models:
        booster = fit(dataset.labelled(fold.train), boosting)
        earlier = margins(booster, dataset.matrix[fold.calibrate]).astype(np.float64)
        platt = fit_platt(earlier, dataset.fraud[fold.calibrate])
        margin = margins(booster, dataset.matrix[fold.test]).astype(np.float64)
        odds.append(platt.slope * margin + platt.intercept)
        before = before if len(before) else platt(earlier)
        costs.append(_cost_us(booster, dataset.matrix[fold.test]))
    band = shares.among(before.astype(np.float32)).band
    score = sigmoid(odds[0])
    due = (
        np.zeros(len(score), bool)
        if band is None
        else band.holds(score.astype(np.float32))
    )
    return _Tested(odds[0], odds[1], due, fold), (costs[0], costs[1])


def _cost_us(booster: Any, rows: NDArray[np.float32]) -> float:
    """Median microseconds a row of the ONNX graph, without reasons."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    graph = ensemble_graph(forest_from_json(bytes(booster.save_raw("json"))))
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    times = []
    for batch in np.resize(rows, (_TIMED, _BATCH_ROWS, rows.shape[1])):
        began = perf_counter()
        session.run(["calibrated"], {"features": batch})
        times.append((perf_counter() - began) / len(batch))
    return statistics.median(times) * 1e6


def _told(
    dataset: Dataset, tested: Sequence[_Tested], shares: Shares
) -> dict[str, Any]:
    looks = {
        "first": [one.first for one in tested],
        "both": [np.where(one.due, one.larger, one.first) for one in tested],
        "larger": [one.larger for one in tested],
    }
    figures = {
        name: _mean(
            [_quality(dataset, o.fold, r) for o, r in zip(tested, ranks, strict=True)]
        )
        for name, ranks in looks.items()
    }
    folds = [Ranked(o.first, o.larger, dataset.fraud[o.fold.test]) for o in tested]
    curve = {
        f"{share:g}": round(
            float(np.mean([fold.precision(1 - share, 1) for fold in folds])), 4
        )
        for share in _SHARES
    }
    band = {"band": shares.span, "choice": shares.log}
    return band | figures | {"average_precision_by_share": curve}


def _quality(dataset: Dataset, fold: Fold, odds: Floats) -> Quality:
    return quality_report(
        sigmoid(odds),
        dataset.fraud[fold.test],
        card_days=dataset.card_days(fold.test),
        ranking=odds,
    )


def _mean(qualities: Sequence[Quality]) -> dict[str, float]:
    names = ("auc", "average_precision", "card_precision_100", "ece")
    rows = [[getattr(q, name) for name in names] for q in qualities]
    means = np.mean(np.array(rows, np.float64), axis=0).tolist()
    return {name: round(x, 5) for name, x in zip(names, means, strict=True)}


def _costs(
    tested: Sequence[_Tested], costs: Sequence[tuple[float, float]]
) -> dict[str, float]:
    """The share looked at again, and microseconds a transaction of each way."""
    share = float(np.mean([one.due.mean() for one in tested]))
    first, larger = np.median(np.array(costs), axis=0).tolist()
    return {
        "looked_at_again": round(share, 5),
        "first_us": round(first, 2),
        "both_us": round(first + share * larger, 2),
        "larger_us": round(larger, 2),
    }
