"""Where a service takes its models from, and which of them it trusts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from scoring.core.decision.decision import ComputeTarget
from scoring.core.features.catalogue import Catalogue
from scoring.core.model.bundle import MANIFEST_FILE, SIGNATURE_FILE, manifest_from_json
from scoring.errors import BadArtifact, ModelRegistryUnavailable
from scoring.models.onnx_model import Device, OnnxModel, load_model
from scoring.models.registry import ModelRegistry, bundle_in
from scoring.models.remote_registry import RemoteModelRegistry
from scoring.models.signature import Trust
from scoring.models.size_router import TargetedModel

log = logging.getLogger(__name__)
# The storage is asked this often; a directory of this machine more often.
PULL_S = 5.0


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A directory of models, kept like the `remote` registry where there is one.

    With `trust`, only signed models are loaded or explained. With
    `tensor_rows_min`, batches of so many rows are scored by the tensor form on
    `device`.
    """

    directory: Path
    remote: RemoteModelRegistry | None = None
    trust: Trust | None = None
    tensor_rows_min: int = 0
    device: Device = "cpu"

    def refresh(self) -> None:
        """Bring the directory up to date; raises `ModelRegistryUnavailable`."""
        if self.remote is not None:
            self.remote.pull()

    def first(self) -> Path:
        """The bundle to start with: the last one known where the registry fails."""
        try:
            self.refresh()
        except ModelRegistryUnavailable as error:
            log.warning("starting with the last mirrored model: %s", error)
        return bundle_in(self.directory)

    def load(
        self, directory: Path, *, catalogue: Catalogue
    ) -> OnnxModel | TargetedModel:
        """Load a bundle, prove it and warm it up; blocks. Raises `BadArtifact`."""
        ensemble = load_model(directory, catalogue=catalogue, trust=self.trust)
        if not self.tensor_rows_min:
            return ensemble
        tensor = load_model(
            directory, target=ComputeTarget.TENSOR, device=self.device, trust=self.trust
        )
        if tensor.version != ensemble.version:
            raise BadArtifact(f"{directory}: was replaced while it was loaded")
        return TargetedModel(ensemble, tensor, self.tensor_rows_min)

    def bundle(self, version: str) -> Path:
        """The bundle of one version, brought here where it is not yet; blocks.

        Raises `BadArtifact` where it is kept no more, or is not trusted.
        """
        place = ModelRegistry(self.directory).path(version)
        if not (place / MANIFEST_FILE).is_file():
            place = self._elsewhere(version)
        raw = (place / MANIFEST_FILE).read_bytes()
        manifest = manifest_from_json(raw.decode(errors="replace"), name=str(place))
        if manifest.version != version:
            raise BadArtifact(f"{self.directory}: holds no model {version}")
        if self.trust is not None:
            signature = place / SIGNATURE_FILE
            signed = signature.read_bytes() if signature.is_file() else None
            self.trust.check(raw, signed, name=str(place))
        return place

    def _elsewhere(self, version: str) -> Path:
        if self.remote is not None:
            return self.remote.path(version)
        if (self.directory / MANIFEST_FILE).is_file():
            return self.directory
        raise BadArtifact(f"{self.directory}: holds no model {version}")
