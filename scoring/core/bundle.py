"""A model bundle's manifest: what it holds and what it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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

    def content_version(self) -> str:
        """The hash of everything but the version itself: 16 hex digits."""
        plain = self.model_dump(mode="json", exclude={"version"})
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()[:16]

    def stamped(self) -> Manifest:
        """The same manifest carrying its version."""
        return self.model_copy(update={"version": self.content_version()})

    def to_json(self) -> str:
        """The manifest as a file that people can read."""
        return self.model_dump_json(indent=2) + "\n"


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
    for file in FILES:
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
    """Metrics as they stand in a manifest: six digits, None where undefined.

    >>> rounded({"auc": 0.12345678, "ece": None})
    {'auc': 0.123457, 'ece': None}
    """
    return {
        key: None if value is None else round(float(value), 6)
        for key, value in metrics.items()
    }
