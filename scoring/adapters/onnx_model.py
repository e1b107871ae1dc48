"""A model bundle loaded into ONNX Runtime, proved to be the one that was exported."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from scoring.adapters.model_shelf import bundle_in
from scoring.adapters.onnx_graph import check_graph
from scoring.core import bundle
from scoring.core.bundle import GOLDEN_TOLERANCE, Manifest
from scoring.core.catalogue import Catalogue
from scoring.core.decision import ComputeTarget
from scoring.errors import BadArtifact, ModelUnavailable
from scoring.ports import Matrix, Scores

_OUTPUTS = ("margin", "calibrated", "contributions")
_FILE_BYTES_MAX = 512 * 1024 * 1024  # a forest of 100,000 trees is smaller
_WARM_UP_ROWS = (1, 2, 64)


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A `Model` (see ports): one ONNX Runtime session on one thread.

    One thread, because the order of summation then does not depend on the size of
    the batch: a row scores the same alone and among others, bit for bit. Safe to
    share between threads.
    """

    manifest: Manifest
    session: Any
    target: ComputeTarget = ComputeTarget.ENSEMBLE

    @property
    def version(self) -> str:
        """Content hash of the bundle."""
        return self.manifest.version

    @property
    def features_version(self) -> str:
        """Hash of the feature definitions it was trained on."""
        return self.manifest.features_version

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The vector's order."""
        return self.manifest.feature_names

    @property
    def reason_groups(self) -> tuple[str, ...]:
        """Feature group of each column of the contributions."""
        return self.manifest.reason_groups

    def predict(self, matrix: Matrix) -> Scores:
        """Score (n, features) float32 rows, NaN missing; see `ports.Model`."""
        try:
            margin, calibrated, contributions = self.session.run(
                _OUTPUTS, {"features": matrix}
            )
        except Exception as error:  # ONNX Runtime raises its own and bare ones
            raise ModelUnavailable(f"model {self.version}: {error}") from error
        margin = margin[:, 0]
        # A NaN anywhere makes the sum NaN: one call for the whole batch.
        if not np.isfinite(margin.sum()):
            raise ModelUnavailable(f"model {self.version}: the score is not a number")
        return Scores(
            margin=margin,
            probability=calibrated[:, 0],
            contributions=contributions,
            target=self.target,
        )


def load_model(directory: Path, *, catalogue: Catalogue | None = None) -> OnnxModel:
    """Load a bundle, prove it and warm it up; blocks for tens of milliseconds.

    `directory` is a bundle or a shelf of bundles, of which the promoted one is meant.

    Raises `BadArtifact` naming what disagrees: the manifest with its own hash, a
    file with the manifest, the feature order with the catalogue (when given), an
    operator that is not ours, or a score with its golden vector.
    """
    directory = bundle_in(directory)
    name = str(directory)
    contents = _contents(directory)
    manifest = bundle.manifest_from_json(
        contents.pop(bundle.MANIFEST_FILE).decode(errors="replace"),
        name=f"{name}/{bundle.MANIFEST_FILE}",
    )
    bundle.check_files(manifest, contents, name=name)
    if catalogue is not None:
        bundle.check_features(
            manifest, names=catalogue.names, version=catalogue.version, name=name
        )
    graph = contents[bundle.GRAPH_FILE]
    check_graph(graph, name=f"{name}/{bundle.GRAPH_FILE}")
    model = OnnxModel(manifest, session_of(graph, name=name))
    _check_shape(model, name)
    try:
        _check_golden(model, contents[bundle.GOLDEN_FILE], name)
        _check_extremes(model, name)
    except ModelUnavailable as error:
        raise BadArtifact(f"{name}: {error}") from error
    return model


def _contents(directory: Path) -> dict[str, bytes]:
    contents = {}
    for file in (bundle.MANIFEST_FILE, *bundle.FILES):
        path = directory / file
        try:
            if path.stat().st_size > _FILE_BYTES_MAX:
                raise BadArtifact(f"{path}: larger than {_FILE_BYTES_MAX} bytes")
            contents[file] = path.read_bytes()
        except OSError as error:
            raise BadArtifact(
                f"{path}: cannot be read ({error.strerror}); "
                "make a bundle with `scoring train`"
            ) from error
    return contents


def session_of(graph: bytes, *, name: str) -> Any:
    """An ONNX Runtime session on the calling thread only."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BadArtifact(f"{name}: ONNX Runtime refuses it: {error}") from error


def _check_shape(model: OnnxModel, name: str) -> None:
    inputs = {i.name: (i.type, i.shape[-1]) for i in model.session.get_inputs()}
    width = len(model.feature_names)
    if inputs != {"features": ("tensor(float)", width)}:
        raise BadArtifact(f"{name}: the graph does not take {width} float features")
    outputs = {o.name: o.shape[-1] for o in model.session.get_outputs()}
    groups = len(model.reason_groups)
    expected = {"margin": 1, "score": 1, "calibrated": 1, "contributions": groups}
    if outputs != expected:
        raise BadArtifact(
            f"{name}: the graph gives {outputs} and the manifest says {expected}"
        )


def _check_golden(model: OnnxModel, raw: bytes, name: str) -> None:
    """Score the golden rows again, together and one by one."""
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as golden:
            arrays = {key: golden[key] for key in ("features", *_OUTPUTS)}
    except (OSError, ValueError, KeyError) as error:
        raise BadArtifact(f"{name}/{bundle.GOLDEN_FILE}: {error}") from error
    rows = arrays["features"]
    together = model.predict(rows)
    alone = [model.predict(rows[i : i + 1]) for i in range(min(len(rows), 16))]
    for output, got in (
        ("margin", together.margin),
        ("calibrated", together.probability),
        ("contributions", together.contributions),
    ):
        _check_close(got, arrays[output], f"{name}: golden vectors: {output}")
    single = np.array([s.margin[0] for s in alone])
    if not np.array_equal(single, together.margin[: len(single)]):
        raise BadArtifact(f"{name}: a row scores differently alone than in a batch")


def _check_close(got: NDArray[Any], expected: NDArray[Any], what: str) -> None:
    scale = np.maximum(1.0, np.abs(expected))
    if got.shape != expected.shape or not np.all(
        np.abs(got - expected) <= GOLDEN_TOLERANCE * scale
    ):
        raise BadArtifact(
            f"{what} differs from what it was at the export; "
            "this ONNX Runtime computes this graph wrongly, or the bundle is damaged"
        )


def _check_extremes(model: OnnxModel, name: str) -> None:
    """Missing, infinite and huge features must still give a finite score."""
    width = len(model.feature_names)
    values = [np.nan, np.inf, -np.inf, 0.0, 3e38, -3e38]
    rows = np.repeat(np.array(values, np.float32)[:, None], width, axis=1)
    for count in _WARM_UP_ROWS:
        model.predict(np.resize(rows, (count, width)))
    scores = model.predict(rows)
    if not np.isfinite(scores.contributions).all():
        raise BadArtifact(f"{name}: missing or huge features: no finite contribution")
    if not ((scores.probability >= 0) & (scores.probability <= 1)).all():
        raise BadArtifact(f"{name}: a probability lies outside 0 to 1")
