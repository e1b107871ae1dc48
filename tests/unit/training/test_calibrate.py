"""The calibration finds its optimum, however far the margins lie apart."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadArtifact
from scoring.training.calibrate import fit_platt, sigmoid


def cross_entropy(slope, intercept, margin, fraud):
    odds, frauds = slope * margin + intercept, fraud.sum()
    target = np.where(fraud, (frauds + 1) / (frauds + 2), 1 / (len(fraud) - frauds + 2))
    return np.mean(np.logaddexp(0.0, odds) - target * odds)


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.1, 1.0, 3.0, 10.0, 30.0]),
    shift=st.sampled_from([-20.0, -5.0, 0.0, 5.0]),
    apart=st.sampled_from([0.0, 0.5, 2.0, 5.0, 20.0]),
    rate=st.sampled_from([0.01, 0.1, 0.5]),
)
def test_no_other_scaling_fits_better_and_nothing_overflows(
    seed, scale, shift, apart, rate
):
    chance = np.random.default_rng(seed)
    fraud = chance.random(1_000) < rate
    margin = chance.normal(shift, scale, 1_000) + apart * fraud
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            platt = fit_platt(margin, fraud)
        except BadArtifact:
            return  # it does not rise with fraud, and says so
    least = cross_entropy(platt.slope, platt.intercept, margin, fraud)
    for slope, intercept in ((0.99, 1.0), (1.01, 1.0), (1.0, 0.99), (1.0, 1.01)):
        other = (platt.slope * slope, platt.intercept * intercept)
        assert least <= cross_entropy(*other, margin, fraud) + 1e-9


def test_margins_that_tell_fraud_well_are_calibrated_wherever_they_lie():
    # From here whole steps of Newton's method lead away for ever.
    chance = np.random.default_rng(0)
    fraud = chance.random(5_000) < 0.5
    margin = chance.normal(-5.0, 30.0, 5_000) + 20.0 * fraud
    platt = fit_platt(margin, fraud)
    assert platt(margin).mean() == pytest.approx(fraud.mean(), abs=0.01)


def test_the_probability_of_any_odds_is_between_none_and_all():
    with np.errstate(all="raise", under="ignore"):
        told = sigmoid(np.array([-1e300, -745.0, 0.0, 40.0, 1e300]))
    assert ((told >= 0) & (told <= 1)).all()
