"""The model: rows in, scores out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.core.decision.decision import ComputeTarget
from scoring.core.model.bundle import Band, Baseline

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the model says of n rows.

    `margin` (n,) raw log-odds; `probability` (n,) calibrated, 0 to 1;
    `contributions` (n, groups) added log-odds by reason group.
    """

    margin: NDArray[np.float32]
    probability: NDArray[np.float32]
    contributions: Matrix
    target: ComputeTarget = ComputeTarget.ENSEMBLE


@dataclass(frozen=True, slots=True)
class DeeperModel:
    """The larger model of a bundle, and the first scores for which it is asked."""

    band: Band
    model: Model


class Model(Protocol):
    """A loaded model bundle."""

    @property
    def version(self) -> str:
        """Content hash of the bundle."""
        ...

    @property
    def features_version(self) -> str:
        """Hash of the feature definitions it was trained on."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The vector's order."""
        ...

    @property
    def reason_groups(self) -> tuple[str, ...]:
        """Reason group of each column of the contributions."""
        ...

    @property
    def baseline(self) -> Baseline | None:
        """What scores and features looked like in training; None: not known."""
        ...

    @property
    def deeper(self) -> DeeperModel | None:
        """What looks again where the first score leaves doubt; None: nothing."""
        ...

    def predict(self, matrix: Matrix) -> Scores:
        """Score (n, features) float32 rows, NaN missing; runs in the caller's thread.

        A row's result does not depend on its neighbours. Raises `ModelUnavailable`.
        """
        ...
