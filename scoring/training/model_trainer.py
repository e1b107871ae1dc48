"""What every model of a bundle is made from: rows, their split, and their reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue
from scoring.training.calibrate import fit_platt
from scoring.training.dataset import Dataset, LabelledRows, TimeSplit
from scoring.training.fit import Boosting, fit, margins
from scoring.training.forest import forest_from_json
from scoring.training.losses import Losses
from scoring.training.package import Compiled
from scoring.training.progress import Report
from scoring.training.reasons import fitted_reasons

_REASON_ROWS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Groups:
    """Reason groups in the order of the contributions' columns.

    `of` (features,) gives each feature's group as an index into `names`.
    """

    names: tuple[str, ...]
    of: NDArray[np.int64]

    @classmethod
    def from_catalogue(cls, catalogue: Catalogue) -> Groups:
        """The groups of a catalogue's features, in the order of first use."""
        groups = [catalogue.features[name].reason_group for name in catalogue.names]
        names = tuple(dict.fromkeys(groups))
        return cls(names, np.array([names.index(g) for g in groups]))


@dataclass(frozen=True, slots=True)
class ModelTrainer:
    """Rows to fit, to calibrate and to judge, and how models are made of them.

    `losses` are learned from the rows to fit alone: the others are as they were.
    """

    dataset: Dataset
    split: TimeSplit
    groups: Groups
    losses: Losses
    label_delay_ms: int
    seed: int
    report: Report

    def compiled(self, boosting: Boosting) -> Compiled:
        """Fit, calibrate on the rows after those, and explain."""
        dataset, split = self.dataset, self.split
        fitting = dataset.rows(split.from_ms, split.fitted_ms)
        learned, which = self.losses.learned(
            dataset.matrix,
            np.arange(len(dataset)),
            np.flatnonzero(fitting),
            seed=self.seed,
        )
        rows = LabelledRows(learned, dataset.fraud[which], dataset.weights_of(which))
        booster = fit(rows, boosting, seed=self.seed, report=self.report)
        forest = forest_from_json(bytes(booster.save_raw("json")))
        platt = fit_platt(
            self.margins(booster, self.calibrating),
            dataset.fraud[self.calibrating],
            dataset.weights_of(self.calibrating),
        )
        read = _read(self.margins(booster, fitting))
        reasons = fitted_reasons(
            forest,
            self.groups.of,
            count=len(self.groups.names),
            rows=dataset.matrix[np.flatnonzero(fitting)[read]],
            report=self.report,
        )
        return Compiled(booster, forest, reasons, platt)

    @property
    def calibrating(self) -> NDArray[np.bool_]:
        """The rows that calibrate, after those that were fitted to."""
        return self.dataset.rows(self.split.fitted_ms, self.split.calibrated_ms)

    @property
    def judging(self) -> NDArray[np.bool_]:
        """The rows that judge: no model, calibration or choice has seen them."""
        return self.dataset.rows(self.split.evaluated_ms, self.split.until_ms)

    def margins(self, booster: Any, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Raw log-odds of the chosen rows, in order."""
        return margins(booster, self.dataset.matrix[rows]).astype(np.float64)

    def scored(
        self, model: Compiled, rows: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores of the chosen rows, and the calibrated log-odds that rank them."""
        margin, platt = self.margins(model.booster, rows), model.platt
        return platt(margin), platt.slope * margin + platt.intercept


def _read(margin: NDArray[np.float64]) -> NDArray[np.int64]:
    """At most 10,000 rows, half of them of the tenth with the highest margins where
    there are so many: that is where reasons are read.
    """
    ranked = np.argsort(-margin, kind="stable")
    chosen = []
    for rows in np.split(ranked, [math.ceil(len(ranked) / 10)]):
        count = min(len(rows), _REASON_ROWS_MAX // 2)
        chosen.append(rows[np.linspace(0, len(rows) - 1, count).astype(int)])
    return np.sort(np.concatenate(chosen))
