"""A fitted model packed into a bundle that serving can prove."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.model import bundle
from scoring.core.model.bundle import Baseline, Distribution, Manifest
from scoring.errors import BadArtifact
from scoring.training.calibrate import Platt, sigmoid
from scoring.training.export import OPSET, ensemble_graph
from scoring.training.forest import Forest
from scoring.training.reasons import Reasons
from scoring.training.tensor import DEPTH_MAX, tensor_graph

GOLDEN_ROWS_MAX = 256
PARITY_MAX = 5e-6  # largest difference in probability from XGBoost
_BASELINE_BINS = 10
_HUGE = 1e38


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model's three forms, with what joins them."""

    booster: Any
    forest: Forest
    reasons: Reasons
    platt: Platt

    def graph(self, compiler: Callable[..., bytes] = ensemble_graph) -> bytes:
        """The ONNX graph, as one of our two compilers writes it."""
        return compiler(self.forest, reasons=self.reasons, platt=self.platt)


def write_bundle(
    out: Path,
    compiled: Compiled,
    manifest: Manifest,
    *,
    rows: NDArray[np.float32],
    second: Compiled | None = None,
) -> Manifest:
    """Write a bundle to the directory `out`, replacing what is there, and return
    its manifest with files, hashes and version filled in.

    `rows` are held-out rows that golden vectors are made of; `second` is the larger
    model, where the manifest tells of one. Raises `BadArtifact` where a graph does
    not score like XGBoost.
    """
    contents = _proved(compiled, rows, bundle.FILES)
    if second is not None:
        contents |= _proved(second, rows, bundle.SECOND_FILES)
    if compiled.forest.depth <= DEPTH_MAX:
        contents[bundle.TENSOR_FILE] = compiled.graph(tensor_graph)
    manifest = manifest.model_copy(
        update={"files": bundle.hashes(contents), "opset": dict(OPSET)}
    ).stamped()
    contents[bundle.MANIFEST_FILE] = manifest.to_json().encode()
    _replace(out, contents)
    return manifest


def _proved(
    compiled: Compiled, rows: NDArray[np.float32], names: tuple[str, str, str]
) -> dict[str, bytes]:
    """A model's graph, booster and golden vectors, under those names."""
    graph = compiled.graph()
    golden = golden_rows(rows, compiled.forest)
    outputs = run_graph(graph, golden)
    _check_parity(compiled, golden, outputs["margin"][:, 0])
    packed = io.BytesIO()
    # Times are kept out of the archive: the same model has the same hash.
    np.savez(packed, features=golden, margin=outputs["margin"][:, 0],
             calibrated=outputs["calibrated"][:, 0],
             contributions=outputs["contributions"])  # fmt: skip
    booster = bytes(compiled.booster.save_raw("json"))
    return dict(zip(names, (graph, booster, packed.getvalue()), strict=True))


def _replace(out: Path, contents: dict[str, bytes]) -> None:
    """Put a whole directory in place of another: never half a bundle."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(mkdtemp(prefix=".bundle-", dir=out.parent))
    try:
        for file, raw in contents.items():
            (fresh / file).write_bytes(raw)
        fresh.chmod(0o755)
        if out.exists():
            old = Path(mkdtemp(prefix=".old-", dir=out.parent))
            out.rename(old / "bundle")
            shutil.rmtree(old, ignore_errors=True)
        fresh.rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def golden_rows(rows: NDArray[np.float32], forest: Forest) -> NDArray[np.float32]:
    """Rows that a wrong engine would score wrongly: ordinary ones, rows lying
    exactly on thresholds and one step beside them, and rows with features missing.
    """
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), GOLDEN_ROWS_MAX // 2))
    plain = rows[chosen.astype(int)].astype(np.float32)
    edge = plain.copy()
    for i, row in enumerate(edge):
        tree = forest.trees[i % len(forest.trees)]
        inner = np.flatnonzero(tree.left >= 0)
        at = tree.threshold[inner]
        step = (at, np.nextafter(at, np.float32(-np.inf)), np.full_like(at, np.nan))
        row[tree.feature[inner]] = step[i % 3]
    edge[-1] = np.nan
    return np.vstack([plain, edge])


def run_graph(graph: bytes, rows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Run a graph on one thread, as serving does."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"features": rows}), strict=True))


def _check_parity(
    compiled: Compiled, rows: NDArray[np.float32], margin: NDArray[np.float32]
) -> None:
    import xgboost

    expected = compiled.booster.predict(xgboost.DMatrix(rows), output_margin=True)
    difference = np.abs(
        sigmoid(margin.astype(np.float64)) - sigmoid(expected.astype(np.float64))
    ).max()
    if not difference <= PARITY_MAX:
        raise BadArtifact(
            f"export: the graph differs from XGBoost by {difference:.2e} in "
            f"probability (at most {PARITY_MAX:.0e}); do not serve this model"
        )


def baseline_of(
    rows: NDArray[np.float32], scores: NDArray[np.float64], names: tuple[str, ...]
) -> Baseline:
    """What later scores and features are compared with."""
    return Baseline(
        score=distribution_of(scores),
        features={n: distribution_of(rows[:, i]) for i, n in enumerate(names)},
    )


def distribution_of(values: NDArray[Any]) -> Distribution:
    """Deciles of the known values and the share in each.

    >>> distribution_of(np.array([0.0, 1.0, 1.0, np.nan])).null_share
    0.25
    """
    # Infinite ratios count as the largest value: JSON has no infinity.
    known = np.clip(values[~np.isnan(values)].astype(np.float64), -_HUGE, _HUGE)
    if not len(known):
        return Distribution(edges=(), shares=(1.0,), null_share=1.0)
    inner = np.linspace(0, 1, _BASELINE_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(known, inner, method="nearest"))
    counts = np.bincount(
        np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1
    )
    return Distribution(
        edges=tuple(float(e) for e in edges),
        shares=tuple((counts / len(known)).round(6).tolist()),
        null_share=round(1 - len(known) / len(values), 6),
    )
