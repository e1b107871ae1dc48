"""Rows that stand for others: a weight counts a row as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.training.calibrate import fit_platt
from scoring.training.dataset import LabelledRows
from scoring.training.fit import Boosting, fit, margins
from scoring.training.quality import quality_report
from scoring.training.train import _weights

RNG = np.random.default_rng(3)
N = 600
TIMES = RNG.integers(1, 5, N)
SCORES = np.round(RNG.random(N), 2)  # with ties
FRAUD = RNG.random(N) < SCORES / 2
REPEATED = np.repeat(np.arange(N), TIMES)


def test_figures_are_those_of_the_rows_repeated():
    weighed = quality_report(SCORES, FRAUD, weights=TIMES.astype(float)).as_dict()
    repeated = quality_report(SCORES[REPEATED], FRAUD[REPEATED]).as_dict()
    for name in ("auc", "average_precision", "log_loss", "brier"):
        assert weighed[name] == pytest.approx(repeated[name]), name


def test_weights_of_one_change_nothing():
    plain = quality_report(SCORES, FRAUD).as_dict()
    weighed = quality_report(SCORES, FRAUD, weights=np.ones(N)).as_dict()
    assert weighed == pytest.approx(plain, nan_ok=True)


def test_recall_looks_at_a_share_of_what_the_rows_stand_for():
    scores, fraud = np.arange(4.0), np.array([False, True, False, True])
    weights = np.array([10.0, 10.0, 70.0, 10.0])
    found = quality_report(scores / 4, fraud, weights=weights).recall_at
    assert found[0.05] == pytest.approx(0.5)


def test_calibration_is_that_of_the_rows_repeated():
    margin = np.log(SCORES + 0.01)
    weighed = fit_platt(margin, FRAUD, TIMES.astype(float))
    repeated = fit_platt(margin[REPEATED], FRAUD[REPEATED])
    assert weighed.slope == pytest.approx(repeated.slope)
    assert weighed.intercept == pytest.approx(repeated.intercept)


def test_a_model_fitted_to_weights_is_that_of_the_rows_repeated():
    matrix = np.column_stack([SCORES, RNG.random(N)]).astype(np.float32)
    exact = Boosting(rounds=5, bins_max=0)
    weighed = fit(LabelledRows(matrix, FRAUD, TIMES.astype(float)), exact)
    repeated = fit(LabelledRows(matrix[REPEATED], FRAUD[REPEATED]), exact)
    assert margins(weighed, matrix) == pytest.approx(
        margins(repeated, matrix), abs=1e-3
    )


def test_a_payment_of_the_sample_weighs_by_its_inverse_probability():
    import pyarrow as pa

    table = pa.table({"let_through": pa.array([None, 0.005, None], pa.float64())})
    found = _weights(table)
    assert found is not None
    assert found.tolist() == [1.0, 200.0, 1.0]
    assert _weights(pa.table({"id": ["t1"]})) is None
    none = pa.table({"let_through": pa.array([None, None], pa.float64())})
    assert _weights(none) is None
