"""Models of a registry, for tests that never load one."""

from __future__ import annotations

from pathlib import Path

from scoring.core.model.bundle import (
    MANIFEST_FILE,
    Baseline,
    Calibration,
    Distribution,
    Manifest,
    Training,
)
from scoring.models.registry import ModelRegistry

_EVEN = Distribution(edges=(0.5,), shares=(0.5, 0.5), null_share=0.0)


def kept_model(directory: Path, seed: int, **metrics: float) -> str:
    """A manifest in a registry's directory; its version."""
    manifest = Manifest(
        features_version="0" * 16,
        feature_names=("amount",),
        reason_groups=("AMOUNT",),
        reason_method="path",
        reason_base=0.0,
        files={},
        opset={},
        calibration=Calibration(slope=1.0, intercept=0.0),
        metrics={"auc": 0.9, "ece": 0.01, **metrics},
        baseline=Baseline(score=_EVEN, features={"amount": _EVEN}),
        training=Training(
            rows=1_000,
            frauds=10,
            from_ms=0,
            until_ms=1,
            calibrated_until_ms=2,
            evaluated_until_ms=3,
            label_delay_ms=0,
            seed=seed,
            parameters={},
        ),
    ).stamped()
    place = directory / manifest.version
    place.mkdir(parents=True)
    (place / MANIFEST_FILE).write_text(manifest.to_json())
    return manifest.version


def registry_of(directory: Path, count: int = 2) -> tuple[ModelRegistry, list[str]]:
    """A registry of so many models, the first promoted; their versions."""
    versions = [kept_model(directory, seed) for seed in range(count)]
    registry = ModelRegistry(directory)
    registry.promote(versions[0])
    return registry, versions
