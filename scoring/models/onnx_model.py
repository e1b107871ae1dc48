"""A model bundle loaded into ONNX Runtime, proved to be the one that was exported."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from scoring.core.decision.decision import ComputeTarget
from scoring.core.features.catalogue import Catalogue
from scoring.core.model import bundle
from scoring.core.model.bundle import GOLDEN_TOLERANCE, Baseline, Manifest
from scoring.errors import BadArtifact, ModelUnavailable
from scoring.models.graph_check import check_graph
from scoring.models.registry import bundle_in
from scoring.models.signature import Trust
from scoring.ports.model import DeeperModel, Matrix, Scores

Device = Literal["cpu", "cuda"]
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_GRAPHS = {
    ComputeTarget.ENSEMBLE: bundle.GRAPH_FILE,
    ComputeTarget.TENSOR: bundle.TENSOR_FILE,
}
# How far a target may be from the golden vectors: the tensor form sums in another
# order (5e-6 in probability at most, measured on margins up to 15).
_TOLERANCES = {
    ComputeTarget.ENSEMBLE: GOLDEN_TOLERANCE,
    ComputeTarget.TENSOR: 5 * GOLDEN_TOLERANCE,
}
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
    deeper: DeeperModel | None = None

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

    @property
    def baseline(self) -> Baseline:
        """What scores and features looked like in training."""
        return self.manifest.baseline

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


def load_model(
    directory: Path,
    *,
    catalogue: Catalogue | None = None,
    target: ComputeTarget = ComputeTarget.ENSEMBLE,
    device: Device = "cpu",
    trust: Trust | None = None,
) -> OnnxModel:
    """Load a bundle, prove it and warm it up; blocks for tens of milliseconds.

    `directory` is a bundle, or a registry of bundles whose promoted one is meant.
    Only the tensor target runs on "cuda". With `trust`, only a bundle signed by one
    of its keys is loaded.

    Raises `BadArtifact` naming what disagrees: the signature with the keys, the
    manifest with its own hash, a file with the manifest, the feature order with the
    catalogue (when given), an operator that is not ours, the device asked for with
    the one that would compute, or a score with its golden vector.
    """
    directory = bundle_in(directory)
    name = str(directory)
    manifest, contents = _contents(directory, trust)
    bundle.check_files(manifest, contents, name=name)
    if catalogue is not None:
        bundle.check_features(
            manifest, names=catalogue.names, version=catalogue.version, name=name
        )
    graph = _graph(contents, target, device, name)
    model = OnnxModel(manifest, session_of(graph, name=name, device=device), target)
    _prove(model, contents, bundle.GOLDEN_FILE, name)
    if manifest.deeper is None:
        return model
    return replace(model, deeper=_deeper(model, contents, name))


def _deeper(model: OnnxModel, contents: dict[str, bytes], name: str) -> DeeperModel:
    """The larger model of the same bundle, proved like the first one."""
    assert model.manifest.deeper is not None
    graph = contents[bundle.SECOND_GRAPH_FILE]
    where = f"{name}/{bundle.SECOND_GRAPH_FILE}"
    check_graph(graph, name=where)
    larger = OnnxModel(model.manifest, session_of(graph, name=where))
    _prove(larger, contents, bundle.SECOND_GOLDEN_FILE, where)
    return DeeperModel(model.manifest.deeper.band, larger)


def _prove(
    model: OnnxModel, contents: dict[str, bytes], golden: str, name: str
) -> None:
    """Check shape, golden vectors and extremes, and so warm it up."""
    _check_shape(model, name)
    try:
        _check_golden(model, contents[golden], name)
        _check_extremes(model, name)
    except ModelUnavailable as error:
        raise BadArtifact(f"{name}: {error}") from error


def _graph(
    contents: dict[str, bytes], target: ComputeTarget, device: Device, name: str
) -> bytes:
    """The graph of a target, looked into before it runs."""
    file = _GRAPHS[target]
    if file not in contents:
        raise BadArtifact(f"{name}: has no {file}; train trees of at most 10 levels")
    if device == "cuda" and target is not ComputeTarget.TENSOR:
        raise BadArtifact(
            f"{name}: {file} has no operator for CUDA and would run on the CPU; "
            "choose the tensor target"
        )
    check_graph(contents[file], name=f"{name}/{file}")
    return contents[file]


def _contents(
    directory: Path, trust: Trust | None
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest, trusted before it is read, and the files that it names."""
    path = directory / bundle.MANIFEST_FILE
    raw = _read(path)
    if trust is not None:
        signature = directory / bundle.SIGNATURE_FILE
        signed = _read(signature) if signature.is_file() else None
        trust.check(raw, signed, name=str(directory))
    manifest = bundle.manifest_from_json(raw.decode(errors="replace"), name=str(path))
    known = {*bundle.FILES, *bundle.SECOND_FILES, bundle.TENSOR_FILE}
    names = [*bundle.FILES, *(set(manifest.files) & known - set(bundle.FILES))]
    return manifest, {file: _read(directory / file) for file in names}


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise BadArtifact(f"{path}: larger than {_FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BadArtifact(
            f"{path}: cannot be read ({error.strerror}); "
            "make a bundle with `scoring train`"
        ) from error


def session_of(graph: bytes, *, name: str, device: Device = "cpu") -> Any:
    """An ONNX Runtime session on the calling thread only.

    On "cuda" every node must be placed there: ONNX Runtime would otherwise fall
    back to the CPU without a word. Raises `BadArtifact`.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    provider = _PROVIDERS[device]
    if provider not in ort.get_available_providers():
        raise BadArtifact(
            f"{name}: {device} was asked for and this ONNX Runtime has no {provider}; "
            "install onnxruntime-gpu, or ask for the CPU"
        )
    if device != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = ort.InferenceSession(graph, options, providers=[provider])
    except Exception as error:
        raise BadArtifact(f"{name}: ONNX Runtime refuses it: {error}") from error
    if session.get_providers()[0] != provider:
        raise BadArtifact(f"{name}: {device} was asked for and the CPU was given")
    return session


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
        what = f"{name}: golden vectors: {output}"
        _check_close(got, arrays[output], what, tolerance=_TOLERANCES[model.target])
    single = np.array([s.margin[0] for s in alone])
    exact = model.target is ComputeTarget.ENSEMBLE
    if exact and not np.array_equal(single, together.margin[: len(single)]):
        raise BadArtifact(f"{name}: a row scores differently alone than in a batch")


def _check_close(
    got: NDArray[Any], expected: NDArray[Any], what: str, *, tolerance: float
) -> None:
    scale = np.maximum(1.0, np.abs(expected))
    if got.shape != expected.shape or not np.all(
        np.abs(got - expected) <= tolerance * scale
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
