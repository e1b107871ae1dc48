"""One model in two compiled forms, chosen by the size of the batch."""

from __future__ import annotations

from dataclasses import dataclass

from scoring.core.model.bundle import Baseline, Manifest
from scoring.models.onnx_model import OnnxModel
from scoring.ports.model import DeeperModel, Matrix, Scores


@dataclass(frozen=True, slots=True)
class TargetedModel:
    """A `Model` (see ports) that scores batches of `rows_min` and more by its tensor
    form and smaller ones by its trees.

    The forms differ by 5e-6 in probability at most; the scores, and so each
    decision, say which one ran.
    """

    ensemble: OnnxModel
    tensor: OnnxModel
    rows_min: int

    @property
    def manifest(self) -> Manifest:
        """What both forms were exported from."""
        return self.ensemble.manifest

    @property
    def version(self) -> str:
        """Content hash of the bundle."""
        return self.ensemble.version

    @property
    def features_version(self) -> str:
        """Hash of the feature definitions it was trained on."""
        return self.ensemble.features_version

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The vector's order."""
        return self.ensemble.feature_names

    @property
    def reason_groups(self) -> tuple[str, ...]:
        """Feature group of each column of the contributions."""
        return self.ensemble.reason_groups

    @property
    def baseline(self) -> Baseline:
        """What scores and features looked like in training."""
        return self.ensemble.manifest.baseline

    @property
    def deeper(self) -> DeeperModel | None:
        """The larger model; always by its trees: few rows at a time are asked of it."""
        return self.ensemble.deeper

    def predict(self, matrix: Matrix) -> Scores:
        """Score (n, features) float32 rows, NaN missing; see `ports.Model`."""
        large = len(matrix) >= self.rows_min
        return (self.tensor if large else self.ensemble).predict(matrix)
