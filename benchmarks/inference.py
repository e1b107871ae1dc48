"""What one score costs, and whether it is the score that XGBoost would give.

Every ratio is of medians of interleaved rounds, so that both sides meet the same
machine. Rows are distinct, so that the branch predictor cannot learn them.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
import xgboost
from numpy.typing import NDArray

from scoring.core.decision.decision import ComputeTarget
from scoring.core.features.catalogue import default_catalogue
from scoring.core.model.bundle import Manifest
from scoring.models.drift import ModelDrift
from scoring.models.explainer import exact_contributions
from scoring.models.onnx_model import load_model, session_of
from scoring.training.build import Recipe, train_on
from scoring.training.dataset import DAY_MS, Dataset
from scoring.training.explain import grouped, top_overlap
from scoring.training.export import ensemble_graph
from scoring.training.fit import Boosting, fit
from scoring.training.forest import Forest, forest_from_json
from scoring.training.model_trainer import Groups
from scoring.training.reasons import Reasons
from scoring.training.simulation.simulate import simulate
from scoring.training.train import DEMO_WORLD, dataset_of

ROUNDS = 15
Rows = NDArray[np.float32]


def medians_us(
    calls: dict[str, Callable[[int], object]], *, repeats: int
) -> dict[str, float]:
    """Median microseconds a call, over interleaved rounds of `repeats` calls."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call(0)
            own = []
            for i in range(repeats):
                began = time.perf_counter_ns()
                call(i)
                own.append((time.perf_counter_ns() - began) / 1e3)
            times[name].append(statistics.median(own))
    return {name: statistics.median(values) for name, values in times.items()}


def scorer(graph: bytes) -> Callable[[Rows], object]:
    session = session_of(graph, name="benchmark")
    names = [output.name for output in session.get_outputs()]
    return lambda rows: session.run(names, {"features": rows})


def one_row(
    booster: xgboost.Booster, graphs: dict[str, bytes], rows: Rows
) -> dict[str, float]:
    """Microseconds of one row through XGBoost and through each graph."""
    singles = [rows[i : i + 1] for i in range(2_000)]
    runs = {name: scorer(graph) for name, graph in graphs.items()}
    calls = {name: lambda i, run=run: run(singles[i]) for name, run in runs.items()}
    calls["native"] = lambda i: booster.inplace_predict(singles[i])
    found = medians_us(calls, repeats=300)
    print(f"one row, µs: {rounded(found)}")
    return found


def batches(graphs: dict[str, bytes], rows: Rows) -> tuple[float, float]:
    """(time with reasons ÷ without at 256 rows, worst tensor ÷ ensemble)."""
    runs = {name: scorer(graph) for name, graph in graphs.items()}
    reasons, tensor = 0.0, []
    for size in (1, 64, 256, 1024):
        blocks = [rows[i * size : (i + 1) * size] for i in range(8)]
        found = medians_us(
            {
                name: lambda i, run=run, blocks=blocks: run(blocks[i % 8])
                for name, run in runs.items()
            },
            repeats=max(3, 128 // size),
        )
        print(f"batch of {size}, µs: {rounded(found)}")
        tensor.append(found["tensor"] / found["explained"])
        if size == 256:
            reasons = found["explained"] / found["plain"]
    return reasons, max(tensor)


def hugging(forest: Forest, rows: Rows, *, seed: int = 0) -> Rows:
    """Rows whose features lie on, or one step beside, thresholds; some missing."""
    rng = np.random.default_rng(seed)
    found = rows.copy()
    for row in found:
        tree = forest.trees[rng.integers(len(forest.trees))]
        inner = np.flatnonzero(tree.left >= 0)
        at = tree.threshold[inner]
        away = np.where(rng.random(len(at)) < 0.5, -np.inf, np.inf)
        beside = np.nextafter(at, away.astype(np.float32))
        row[tree.feature[inner]] = np.where(rng.random(len(at)) < 0.5, at, beside)
    found[rng.random(found.shape) < 0.03] = np.nan
    return found


def leaf_mismatches(
    forest: Forest, booster: xgboost.Booster, rows: Rows
) -> tuple[int, int]:
    """(checks, mismatches): a graph whose target t is the leaf reached in tree t."""
    count = len(forest.trees)
    tables = []
    for index, tree in enumerate(forest.trees):
        table = np.zeros((len(tree.leaves), count))
        table[:, index] = tree.leaves
        tables.append(table)
    graph = scorer(ensemble_graph(forest, reasons=Reasons("path", 0.0, tuple(tables))))
    wrong = 0
    for start in range(0, len(rows), 4_096):
        block = rows[start : start + 4_096]
        reached = booster.predict(xgboost.DMatrix(block), pred_leaf=True)
        wrong += int((graph(block)[3] != reached).sum())
    return len(rows) * count, wrong


def parity(forest: Forest, booster: xgboost.Booster, rows: Rows) -> float:
    score = scorer(ensemble_graph(forest))(rows)[1][:, 0]
    return float(np.abs(score - booster.predict(xgboost.DMatrix(rows))).max())


def single_equals_batch(graph: bytes, rows: Rows) -> bool:
    run = scorer(graph)
    together = run(rows)
    alone = [run(rows[i : i + 1]) for i in range(len(rows))]
    return all(
        np.array_equal(np.concatenate([one[k] for one in alone]), together[k])
        for k in range(len(together))
    )


def overlap(graph: bytes, booster: xgboost.Booster, rows: Rows) -> float:
    """Top-3 agreement with exact TreeSHAP by group, on the top tenth of scores."""
    groups = Groups.from_catalogue(default_catalogue())
    outputs = scorer(graph)(rows)
    top = np.argsort(-outputs[0][:, 0])[: len(rows) // 10]
    exact = exact_contributions(booster, rows[top])[:, :-1]
    truth = grouped(exact, groups.of, count=len(groups.names))
    return top_overlap(outputs[3][top].astype(np.float64), truth)


def loading(directory: Path) -> tuple[float, float]:
    """(median ms to load and prove a bundle, worst ms another thread stood still)."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        load_model(directory)
        times.append(1e3 * (time.perf_counter() - began))
    idle = max(_worst_gap_ms(lambda: time.sleep(0.05)) for _ in range(5))
    busy = statistics.median(
        _worst_gap_ms(lambda: load_model(directory)) for _ in range(5)
    )
    print(f"worst gap of another thread, ms: idle {idle:.1f}, while loading {busy:.1f}")
    return statistics.median(times), busy


def _worst_gap_ms(work: Callable[[], object]) -> float:
    """The longest silence of a thread that wakes every 0.2 ms while `work` runs."""
    thread = threading.Thread(target=work)
    worst, before = 0.0, time.perf_counter()
    thread.start()
    while thread.is_alive():
        time.sleep(0.0002)
        now = time.perf_counter()
        worst, before = max(worst, now - before), now
    return 1e3 * worst


def watching(manifest: Manifest, rows: Rows) -> dict[str, float]:
    """Microseconds that watching for drift adds to a batch of one and of 256 rows."""
    drift = ModelDrift()
    drift.expect(manifest.version, manifest.feature_names, manifest.baseline)
    calls = {}
    for size in (1, 256):
        block, scores = rows[:size], rows[:size, 0].copy()
        calls[f"watching_us_{size}"] = partial(
            _watched, drift, manifest.version, block, scores
        )
    return medians_us(calls, repeats=2_000)


def _watched(
    drift: ModelDrift, version: str, block: Rows, scores: Rows, _: int
) -> None:
    drift.seen(version, block, scores)


def gpu_crossover(directory: Path, rows: Rows) -> int | None:
    """The smallest batch that the tensor form on a GPU scores faster than the trees
    on the CPU; None where there is no GPU, or it never does.
    """
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return None
    trees = load_model(directory)
    tensor = load_model(directory, target=ComputeTarget.TENSOR, device="cuda")
    for size in (2**power for power in range(15)):
        block = np.resize(rows, (size, rows.shape[1]))
        calls = {
            name: lambda _, model=model, block=block: model.predict(block)
            for name, model in (("trees", trees), ("tensor", tensor))
        }
        found = medians_us(calls, repeats=20)
        print(f"batch of {size}, CPU trees and GPU tensors, µs: {rounded(found)}")
        if found["tensor"] < found["trees"]:
            return size
    return None


def rounded(times: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in times.items()}


def trained(directory: Path) -> tuple[Dataset, xgboost.Booster, float]:
    """Train 300 trees of depth 6: rows, booster, seconds spent on the reasons."""
    catalogue = default_catalogue()
    dataset = dataset_of(simulate(DEMO_WORLD), catalogue, label_delay_ms=3 * DAY_MS)
    boosting = Boosting(rounds=300, rate=0.05, depth_max=6, bins_max=256)
    recipe = Recipe(boosting=boosting, label_delay_ms=3 * DAY_MS)
    told: list[float] = []

    def report(stage: str, done: float) -> None:
        if (stage, done) == ("fit", 1.0) or stage == "reasons":
            told.append(time.perf_counter())

    train_on(dataset, directory, catalogue=catalogue, recipe=recipe, report=report)
    booster = xgboost.Booster({"nthread": 1}, model_file=directory / "booster.json")
    return dataset, booster, told[-1] - told[0]


def thousand(dataset: Dataset) -> tuple[xgboost.Booster, dict[str, bytes]]:
    """1,000 trees of depth 6 on few rows: their number is the point."""
    boosting = Boosting(rounds=1000, rate=0.05, depth_max=6, bins_max=64)
    booster = fit(dataset.labelled(slice(8_000)), boosting)
    booster.set_param({"nthread": 1})
    forest = forest_from_json(bytes(booster.save_raw("json")))
    return booster, {"plain": ensemble_graph(forest)}


def measured(directory: Path) -> dict[str, object]:
    dataset, booster, reasons_s = trained(directory)
    forest = forest_from_json(bytes(booster.save_raw("json")))
    graphs = {
        "plain": ensemble_graph(forest),
        "explained": (directory / "model.onnx").read_bytes(),
        "tensor": (directory / "tensor.onnx").read_bytes(),
    }
    half = len(dataset) // 2
    order = np.random.default_rng(0).permutation(len(dataset) - half)
    fresh = dataset.matrix[half:][order]
    small = one_row(booster, graphs, fresh)
    large = one_row(*thousand(dataset), fresh)
    reasons_ratio, tensor_ratio = batches(graphs, fresh)
    rows = np.vstack([fresh[:20_000], hugging(forest, fresh[:15_000])])
    checks, wrong = leaf_mismatches(forest, booster, rows)
    load_ms, stall_ms = loading(directory)
    return {
        "one_row_us": round(small["plain"], 1),
        "one_row_ratio": round(small["plain"] / small["native"], 4),
        "one_row_ratio_1000": round(large["plain"] / large["native"], 4),
        "leaf_checks": checks,
        "leaf_mismatches": wrong,
        "max_prob_diff": parity(forest, booster, rows),
        "single_equals_batch": single_equals_batch(graphs["explained"], fresh[:2_000]),
        "reasons_ratio": round(reasons_ratio, 3),
        "reasons_ratio_one_row": round(small["explained"] / small["plain"], 3),
        "reasons_overlap_top10": round(
            overlap(graphs["explained"], booster, fresh[:20_000]), 4
        ),
        "reasons_table_s": round(reasons_s, 1),
        "tensor_over_ensemble_cpu": round(tensor_ratio, 2),
        "load_ms": round(load_ms, 1),
        "swap_max_stall_ms": round(stall_ms, 1),
        **rounded(watching(load_model(directory).manifest, fresh)),
        "gpu_crossover_rows": gpu_crossover(directory, fresh),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        found = measured(Path(directory) / "bundle")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
