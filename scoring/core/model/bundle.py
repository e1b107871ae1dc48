"""A model bundle's manifest: what it holds and what it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from scoring.errors import BadArtifact

MANIFEST_FILE = "manifest.json"
GRAPH_FILE = "model.onnx"
BOOSTER_FILE = "booster.json"
GOLDEN_FILE = "golden.npz"
# The same trees as tensor operations; absent where they are too deep for it.
TENSOR_FILE = "tensor.onnx"
# Signs the manifest, and so everything that the manifest has hashes of.
SIGNATURE_FILE = "manifest.sig"
FILES = (GRAPH_FILE, BOOSTER_FILE, GOLDEN_FILE)
# The larger model of a second look; all three or none.
SECOND_GRAPH_FILE = "second.onnx"
SECOND_BOOSTER_FILE = "second_booster.json"
SECOND_GOLDEN_FILE = "second_golden.npz"
SECOND_FILES = (SECOND_GRAPH_FILE, SECOND_BOOSTER_FILE, SECOND_GOLDEN_FILE)
# How far a loaded model may be from what it scored when it was exported.
GOLDEN_TOLERANCE = 1e-6

# A name and no path: a manifest cannot point out of its own directory.
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*\.[a-z0-9]+$")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Calibration(_Part):
    """probability = sigmoid(slope · margin + intercept)."""

    slope: float
    intercept: float


class Band(_Part):
    """First scores that leave doubt: low <= score < high. One of 1 leaves none.

    >>> Band(low=0.25, high=0.5).holds(np.array([0.2, 0.25, 0.4, 0.5], np.float32))
    array([False,  True,  True, False])
    """

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.low < self.high:
            raise ValueError("holds no score: `low` must lie below `high`")
        return self

    def holds(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of the first scores (n,) a second look is due for."""
        return np.asarray((scores >= self.low) & (scores < self.high))


class Deeper(_Part):
    """The larger model that looks again where the first score lies in `band`.

    `metrics` are of the rows that judge the bundle: the share that is looked at
    again, and the average precision of the first look, of both and of the larger
    model alone. `selection` says how the bands compared did on earlier rows.
    """

    band: Band
    calibration: Calibration
    reason_method: Literal["path", "fitted"]
    reason_base: float
    parameters: dict[str, float | int | str]
    metrics: dict[str, float | None]
    selection: tuple[dict[str, float | int | str], ...] = ()


class Distribution(_Part):
    """Shares of rows between `edges` (ascending; one share more), and of nulls."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    null_share: float = Field(ge=0, le=1)


class Baseline(_Part):
    """What scores and features looked like on the held-out rows."""

    score: Distribution
    features: dict[str, Distribution]


class Training(_Part):
    """What the model was fitted to; times are event time, `_until` exclusive."""

    rows: int = Field(ge=1)
    frauds: int = Field(ge=1)
    from_ms: int
    until_ms: int
    calibrated_until_ms: int
    evaluated_until_ms: int
    label_delay_ms: int = Field(ge=0)
    seed: int
    parameters: dict[str, float | int | str]
    # Rounds and settings that were compared, and how each did; empty: none were.
    selection: tuple[dict[str, float | int | str], ...] = ()


class Manifest(_Part):
    """Everything a bundle claims; its version is the hash of all of it."""

    format: Literal[1] = 1
    version: str = ""
    features_version: str
    feature_names: tuple[str, ...] = Field(min_length=1)
    reason_groups: tuple[str, ...] = Field(min_length=1)
    reason_method: Literal["path", "fitted"]
    # The expected margin: margin = reason_base + contributions (+ a residual).
    reason_base: float
    files: dict[FileName, Hash]
    opset: dict[str, int]
    calibration: Calibration
    metrics: dict[str, float | None]
    baseline: Baseline
    training: Training
    deeper: Deeper | None = None

    def content_version(self) -> str:
        """The hash of everything but the version itself: 16 hex digits."""
        unsaid = {"version"} if self.deeper else {"version", "deeper"}
        plain = self.model_dump(mode="json", exclude=unsaid)
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()[:16]

    def stamped(self) -> Manifest:
        """The same manifest carrying its version."""
        return self.model_copy(update={"version": self.content_version()})

    def to_json(self) -> str:
        """The manifest as a file that people can read."""
        unsaid = None if self.deeper else {"deeper"}
        return self.model_dump_json(indent=2, exclude=unsaid) + "\n"


def manifest_from_json(text: str, *, name: str) -> Manifest:
    """Read and verify a manifest; raises `BadArtifact` naming what disagrees."""
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise BadArtifact(f"{name}: {where}: {first['msg']}") from error
    if manifest.version != manifest.content_version():
        raise BadArtifact(
            f"{name}: version: is not the hash of the manifest's content; "
            "it was edited after the export: train again"
        )
    return manifest


def check_files(
    manifest: Manifest, contents: Mapping[str, bytes], *, name: str
) -> None:
    """Raise `BadArtifact` naming the first file that is not the one exported."""
    deeper = SECOND_FILES if manifest.deeper else ()
    for file in (*FILES, *deeper):
        if file not in manifest.files:
            raise BadArtifact(f"{name}: files: {file} has no hash")
    for file in manifest.files:
        if file not in contents:
            raise BadArtifact(f"{name}: {file}: is missing; copy the bundle again")
        if sha256(contents[file]).hexdigest() != manifest.files[file]:
            raise BadArtifact(
                f"{name}: {file}: is not the file that was exported "
                "(its hash differs); copy the bundle again"
            )


def check_features(
    manifest: Manifest, *, names: tuple[str, ...], version: str, name: str
) -> None:
    """Raise `BadArtifact` where the catalogue is not the one trained on."""
    if manifest.feature_names != names:
        raise BadArtifact(f"{name}: {_first_difference(manifest.feature_names, names)}")
    if manifest.features_version != version:
        raise BadArtifact(
            f"{name}: features_version: trained on definitions "
            f"{manifest.features_version}, these are {version}; train again"
        )


def _first_difference(trained: tuple[str, ...], present: tuple[str, ...]) -> str:
    """Say where two vectors' orders part.

    >>> _first_difference(("amount", "age"), ("amount", "count"))
    "feature_names[1]: trained on 'age', the catalogue has 'count'; train again"
    """
    for i, (a, b) in enumerate(zip(trained, present, strict=False)):
        if a != b:
            return (
                f"feature_names[{i}]: trained on {a!r}, the catalogue has {b!r}; "
                "train again"
            )
    return (
        f"feature_names: trained on {len(trained)} features, "
        f"the catalogue has {len(present)}; train again"
    )


def hashes(contents: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each file, hex.

    >>> hashes({"a": b""})["a"][:8]
    'e3b0c442'
    """
    return {file: sha256(raw).hexdigest() for file, raw in contents.items()}


def rounded(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics as they are in a manifest: six digits, None where undefined.

    >>> rounded({"auc": 0.12345678, "ece": None})
    {'auc': 0.123457, 'ece': None}
    """
    return {
        key: None if value is None else round(float(value), 6)
        for key, value in metrics.items()
    }
