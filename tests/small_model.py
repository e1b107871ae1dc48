"""Models small enough to train in a test, on rows whose truth we know."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scoring.core.features.catalogue import Catalogue, default_catalogue, load_catalogue
from scoring.core.model import bundle as parts
from scoring.core.model.bundle import hashes, manifest_from_json
from scoring.models.onnx_model import load_model
from scoring.models.registry import ModelRegistry
from scoring.training.build import Recipe, train_on
from scoring.training.dataset import DAY_MS, Dataset
from scoring.training.fit import Boosting
from scoring.training.second_look import SecondLookPlan

START_MS = 1_700_000_000_000
RECIPE = Recipe(boosting=Boosting(rounds=30, rate=0.2, depth_max=4), label_delay_ms=0)
_FEATURES = (
    ("amount", "AMOUNT"),
    ("hour", "TIME"),
    ("weekday", "TIME"),
    ("latitude", "PLACE"),
    ("longitude", "PLACE"),
    ("attempt", "RETRIES"),
)


def small_catalogue(*names: str) -> Catalogue:
    """Features without history; `names` chooses and orders them."""
    groups = dict(_FEATURES)
    features = "".join(
        f"  - {{name: {n}, statistic: value, expression: {n}, "
        f"reason_group: {groups[n]}, description: the {n}}}\n"
        for n in names or groups
    )
    return load_catalogue(
        "name: small\ncurrency: {reference: EUR}\nentities: {card: card}\n"
        f"features:\n{features}",
        name="small.yaml",
    )


def small_dataset(rows: int = 6_000, *, days: int = 20, seed: int = 0) -> Dataset:
    """Fraud rises with the amount, at night and far north; 5 % of cells missing."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, len(_FEATURES))).astype(np.float32)
    risk = 1.5 * matrix[:, 0] + matrix[:, 1] * (matrix[:, 3] > 0) - 3.5
    fraud = rng.random(rows) < 1 / (1 + np.exp(-risk))
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    return Dataset(
        names=tuple(name for name, _ in _FEATURES),
        matrix=matrix,
        fraud=fraud,
        occurred_at_ms=START_MS + np.sort(rng.integers(0, days * DAY_MS, rows)),
        customers=rng.integers(0, 500, rows),
        amount_minor=rng.integers(1, 10_000, rows),
    )


def rewrite(directory: Path, **files: bytes) -> None:
    """Replace files and make the manifest agree: a careful forger."""
    path = directory / parts.MANIFEST_FILE
    manifest = manifest_from_json(path.read_text(), name="manifest")
    contents = {f: (directory / f).read_bytes() for f in manifest.files} | files
    for file, raw in contents.items():
        (directory / file).write_bytes(raw)
    path.write_text(
        manifest.model_copy(update={"files": hashes(contents)}).stamped().to_json()
    )


def changed_graph(raw: bytes, change: Callable[[Any], None]) -> bytes:
    """An ONNX model with its graph changed in place."""
    import onnx

    model = onnx.load_from_string(raw)
    change(model.graph)
    return model.SerializeToString()


def noise_bundle(
    out: Path,
    *,
    rows: int = 6_000,
    seed: int = 0,
    rounds: int = 30,
    depth: int = 4,
    second_look: SecondLookPlan | None = None,
    catalogue: Catalogue | None = None,
) -> Path:
    """A bundle for the shipped features, or others, trained on noise whose first column
    tells a little of fraud; another seed, another model.
    """
    catalogue = catalogue or default_catalogue()
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, len(catalogue.names))).astype(np.float32)
    dataset = Dataset(
        names=catalogue.names,
        matrix=matrix,
        fraud=rng.random(rows) < 1 / (1 + np.exp(3.5 - matrix[:, 0])),
        occurred_at_ms=START_MS + np.sort(rng.integers(0, 20 * DAY_MS, rows)),
        customers=rng.integers(0, 500, rows),
        amount_minor=rng.integers(1, 10_000, rows),
    )
    recipe = Recipe(
        boosting=Boosting(rounds=rounds, depth_max=depth),
        second_look=second_look,
        label_delay_ms=0,
    )
    train_on(dataset, out, catalogue=catalogue, recipe=recipe)
    return out


def registry_of(root: Path, *bundles: Path) -> tuple[ModelRegistry, list[str]]:
    """A registry with copies of these, the first promoted, and their versions."""
    registry, versions = ModelRegistry(root), []
    for bundle in bundles:
        with registry.draft() as draft:
            shutil.copytree(bundle, draft)
            versions.append(load_model(draft).version)
            registry.add(draft, versions[-1])
    return registry, versions
