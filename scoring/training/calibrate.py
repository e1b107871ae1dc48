"""From a raw margin to an honest probability: Platt's scaling, strictly increasing.

Isotonic steps calibrate slightly better and cost ranking quality by their ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadArtifact
from scoring.training.dataset import Weights

_STEPS_MAX = 100
_STEP_MIN = 1e-10
_HALVINGS_MAX = 60
_ODDS_MAX = 700.0  # the largest whole hundred whose exponential is a float
_SLOPE_MIN = 1e-3  # below it the score says nothing that could be calibrated


@dataclass(frozen=True, slots=True)
class Platt:
    """probability = sigmoid(slope · margin + intercept)."""

    slope: float
    intercept: float

    def __call__(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of a margin."""
        return sigmoid(self.slope * margin + self.intercept)


def sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of log-odds, however far out they lie.

    >>> sigmoid(np.array([-1e9, 0.0, 1e9])).round(300).tolist()
    [0.0, 0.5, 1.0]
    """
    return 1.0 / (1.0 + np.exp(np.minimum(-odds, _ODDS_MAX)))


def fit_platt(
    margin: NDArray[np.float64],
    labels: NDArray[np.bool_],
    weights: Weights = None,
) -> Platt:
    """Fit on held-out rows by Newton's method, with Platt's prior on both classes.

    A row counts `weights` times, without: once.

    A step that makes the fit worse is halved: a whole one may lead away for ever.
    Raises `BadArtifact` where the rows hold one class only or where the margin
    does not rise with fraud.

    >>> rng = np.random.default_rng(0)
    >>> margin = rng.normal(-3, 2, 50_000)
    >>> fraud = rng.random(50_000) < 1 / (1 + np.exp(-(0.5 * margin - 1)))
    >>> platt = fit_platt(margin, fraud)
    >>> round(platt.slope, 1), round(platt.intercept, 1)
    (0.5, -1.0)
    """
    frauds = int(labels.sum())
    if not 0 < frauds < len(labels):
        raise BadArtifact(
            "calibration: the rows held out for it hold one class only; bring "
            "more days, or more frauds"
        )
    each = np.ones(len(labels)) if weights is None else weights
    of_fraud, of_others = float(each[labels].sum()), float(each[~labels].sum())
    rare, common = (of_fraud + 1) / (of_fraud + 2), 1 / (of_others + 2)
    target = np.where(labels, rare, common)
    x = np.column_stack([margin, np.ones(len(margin))]).astype(np.float64)
    chosen = np.array([1.0, 0.0])
    for _ in range(_STEPS_MAX):
        p = sigmoid(x @ chosen)
        bend = x.T @ (x * (each * p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(bend, x.T @ (each * (target - p)))
        loss = _loss(x, target, chosen, each)
        for _ in range(_HALVINGS_MAX):
            if _loss(x, target, chosen + step, each) <= loss + _STEP_MIN * abs(loss):
                break
            step /= 2
        chosen += step
        if np.abs(step).max() < _STEP_MIN:
            break
    slope, intercept = (float(w) for w in chosen)
    if not slope > _SLOPE_MIN:
        raise BadArtifact(
            "calibration: the score does not rise with fraud on the held-out days"
        )
    return Platt(slope, intercept)


def _loss(
    x: NDArray[np.float64],
    target: NDArray[np.float64],
    chosen: NDArray[np.float64],
    each: NDArray[np.float64],
) -> float:
    """What the fit makes as small as it can: the mean cross-entropy."""
    odds = x @ chosen
    losses = np.logaddexp(0.0, odds) - target * odds
    return float(np.average(losses, weights=each))
