"""What a model is worth in a world that it was not trained in, and what retraining
there brings: average precision, area under the curve, calibration error.

Three worlds of one size: home, where takeovers are unknown; other people with the
same frauds; other frauds, where takeovers come and the known ones get rarer. Every
figure is of the later rows, which no model learnt from; three seeds of each world.

    make bench NAME=shift
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from scoring.core.features.catalogue import default_catalogue
from scoring.models.onnx_model import load_model
from scoring.training.build import Recipe, train_on
from scoring.training.dataset import Dataset, split_by_time
from scoring.training.quality import quality_report
from scoring.training.simulation.simulate import World, simulate
from scoring.training.train import dataset_of

SEEDS = 3
HOME = World(
    days=50, customers=1_500, terminals=3_000, radius=8.0, takeovers_per_day=0.0
)
RECIPE = Recipe()
Figures = dict[str, float | None]


def worlds(seed: int) -> dict[str, World]:
    """Home and two others; no two of them share a person."""
    home = replace(HOME, seed=3 * seed)
    return {
        "home": home,
        "other_people": replace(home, seed=3 * seed + 1),
        "other_frauds": replace(
            home,
            seed=3 * seed + 2,
            takeovers_per_day=6.0,
            terminals_compromised_per_day=1,
            card_testing_per_day=0.5,
        ),
    }


def judged(bundle: Path, dataset: Dataset) -> Figures:
    """The figures of a bundle on the rows that training there would be judged on."""
    split = split_by_time(dataset, label_delay_ms=RECIPE.label_delay_ms)
    rows = dataset.rows(split.evaluated_ms, split.until_ms)
    scores = load_model(bundle).predict(dataset.matrix[rows])
    quality = quality_report(
        scores.probability, dataset.fraud[rows], ranking=scores.margin
    )
    return {
        "average_precision": quality.average_precision,
        "auc": quality.auc,
        "ece": quality.ece,
        "fraud_share": quality.frauds / quality.rows,
    }


def measured(seed: int, scratch: Path) -> dict[str, Figures]:
    """Each world's later rows by the model of home and by the model of that world."""
    catalogue, found = default_catalogue(), {}
    frozen = scratch / "home"
    for name, world in worlds(seed).items():
        dataset = dataset_of(
            simulate(world), catalogue, label_delay_ms=RECIPE.label_delay_ms
        )
        own = scratch / name
        own.mkdir()
        train_on(dataset, own, catalogue=catalogue, recipe=RECIPE)
        found[f"{name}_retrained"] = judged(own, dataset)
        found[f"{name}_frozen"] = judged(frozen, dataset)
        print(name, found[f"{name}_frozen"], found[f"{name}_retrained"], flush=True)
    return found


def main() -> None:
    """Run it; the last line is one JSON object."""
    runs: list[dict[str, Figures]] = []
    for seed in range(SEEDS):
        with TemporaryDirectory() as scratch:
            runs.append(measured(seed, Path(scratch)))
    print(json.dumps({name: _means([run[name] for run in runs]) for name in runs[0]}))


def _means(figures: list[Figures]) -> dict[str, Any]:
    """Each figure's mean over the seeds, and its lowest and highest."""
    found = {}
    for name in figures[0]:
        values = [float(each[name] or 0.0) for each in figures]
        low, high = min(values), max(values)
        found[name] = [round(x, 5) for x in (mean(values), low, high)]
    return found


if __name__ == "__main__":
    main()
