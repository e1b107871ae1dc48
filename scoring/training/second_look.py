"""What a second look is made of: the larger model, and the scores that are in doubt.

The band is chosen like settings are (see tune.py): on the later half of the rows to
fit, by models of the rows before, and never on a row that calibrates or judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scoring.core.model.bundle import Band
from scoring.errors import BadArtifact
from scoring.training.dataset import Dataset
from scoring.training.fit import Boosting, fit, margins
from scoring.training.progress import Report, silent
from scoring.training.quality import average_precision
from scoring.training.tune import Fold, Log, thinned

Floats = NDArray[np.float64]
# Larger than the first look's by what measurement found to help; see
# docs/decisions/second-look.md.
LARGER = Boosting(rounds=600, rate=0.02, depth_max=5, rows_share=0.7, columns_share=0.5)
# Of what the larger model gains where it scores every row, the band must keep so much.
GAIN_KEPT = 0.9
# Shares of rows, lowest first scores first, at which a band may begin and end; all of
# them keep the whole gain, so there is a band wherever there is a gain.
_BEGIN = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
_END = (0.95, 0.98, 0.99, 0.995, 0.997, 0.999, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLookPlan:
    """How to train the larger model; without a `band` it is learned."""

    boosting: Boosting = field(default_factory=lambda: LARGER)
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """Labelled rows of one fold, as the first and as the larger model ranks them."""

    first: Floats
    larger: Floats
    fraud: NDArray[np.bool_]

    def precision(self, begin: float, end: float) -> float:
        """Average precision where the rows between two shares are looked at again."""
        again = between(self.first, begin, end)
        return average_precision(np.where(again, self.larger, self.first), self.fraud)


@dataclass(frozen=True, slots=True)
class BandChoice:
    """The band, None where none pays; and how all that were compared did."""

    band: Band | None
    log: Log


@dataclass(frozen=True, slots=True)
class Shares:
    """A band as shares of rows, None where none pays; and how all of them did."""

    span: tuple[float, float] | None
    log: Log

    def among(self, scores: NDArray[np.float32]) -> BandChoice:
        """The band of those shares among first scores (n,) like those to come."""
        if self.span is None:
            return BandChoice(None, self.log)
        begin, end = self.span
        low = 0.0 if begin == 0 else float(np.float32(np.quantile(scores, begin)))
        high = 1.0 if end == 1 else float(np.float32(np.quantile(scores, end)))
        return BandChoice(Band(low=low, high=high) if low < high else None, self.log)


def between(first: Floats, begin: float, end: float) -> NDArray[np.bool_]:
    """Rows whose rank by the first look lies between two shares.

    >>> between(np.array([0.1, 0.4, 0.2, 0.3]), 0.5, 1.0)
    array([False,  True, False,  True])
    """
    rank = np.empty(len(first))
    rank[np.argsort(first, kind="stable")] = np.arange(len(first)) / len(first)
    return np.asarray((rank >= begin) & (rank < end))


def chosen(ranked: Sequence[Ranked]) -> Shares:
    """The band that looks at the fewest rows and keeps `GAIN_KEPT` of the gain.

    None where the larger model ranks no better than the first one: a look that
    changes nothing is not worth its time.
    """
    alone = _mean(fold.precision(0, 0) for fold in ranked)
    larger = _mean(fold.precision(0, 1) for fold in ranked)
    enough = alone + GAIN_KEPT * (larger - alone)
    log: list[dict[str, float | int | str]] = [
        {"looked_at_again": 0.0, "average_precision": round(alone, 5)},
        {"looked_at_again": 1.0, "average_precision": round(larger, 5)},
    ]
    best: tuple[float, float] | None = None
    bands = [(begin, end) for begin, end in product(_BEGIN, _END) if begin < end]
    # The first that is enough is the smallest; among equals the one that ends lower.
    for begin, end in sorted(bands, key=lambda b: (round(b[1] - b[0], 6), b[1])):
        found = _mean(fold.precision(begin, end) for fold in ranked)
        share = round(end - begin, 6)
        log.append(
            {
                "begin": begin,
                "end": end,
                "looked_at_again": share,
                "average_precision": round(found, 5),
            }
        )
        if larger > alone and found >= enough:
            best = (begin, end)
            break
    return Shares(best, tuple(log))


def average_precisions(
    first: Floats, larger: Floats, due: NDArray[np.bool_], fraud: NDArray[np.bool_]
) -> dict[str, float | None]:
    """What each look is worth on labelled rows, and how many are looked at again.

    `first` and `larger` rank all rows, in calibrated log-odds; `due` are those whose
    first score lies in the band.
    """
    both = bool(fraud.any() and not fraud.all())
    ranks = {"first": first, "both": np.where(due, larger, first), "larger": larger}
    return {"looked_at_again": float(due.mean())} | {
        f"average_precision_{name}": average_precision(rank, fraud) if both else None
        for name, rank in ranks.items()
    }


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def choose(
    dataset: Dataset,
    folds: Sequence[Fold],
    *,
    models: tuple[Boosting, Boosting],
    seed: int = 0,
    report: Report = silent,
) -> Shares:
    """Choose a band by what the first and the larger of `models` make of the folds.

    Raises `BadArtifact` where there is no fold.
    """
    if not folds:
        raise BadArtifact(
            "table: too short to choose when to look again; train without --second-look"
        )
    ranked = []
    for index, fold in enumerate(folds):
        both = [_ranks(dataset, fold, b, seed) for b in models]
        ranked.append(Ranked(both[0], both[1], dataset.fraud[fold[1]]))
        report("choose a band", (index + 1) / len(folds))
    return chosen(ranked)


def _ranks(dataset: Dataset, fold: Fold, boosting: Boosting, seed: int) -> Floats:
    train, test = thinned(dataset, fold[0]), fold[1]
    booster = fit(dataset.labelled(train), boosting, seed=seed)
    return margins(booster, dataset.matrix[test]).astype(np.float64)
