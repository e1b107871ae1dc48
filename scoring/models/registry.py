"""A directory of model bundles, content-addressed, one of them promoted."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scoring.core.model.bundle import MANIFEST_FILE, Manifest, manifest_from_json
from scoring.core.model.promotion import (
    POINTER_FILE,
    History,
    history_from_json,
    history_to_json,
    promoted,
    rolled_back,
)
from scoring.errors import BadArtifact
from scoring.models.signature import Signer

_VERSION = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class ModelRegistry:
    """Bundles under `root`/VERSION, and `root`/promoted.json naming the champion.

    The pointer is replaced atomically: a reader sees the old or the new one.
    """

    root: Path

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self.root)

    def path(self, version: str) -> Path:
        """Where a version lies, present or not; raises `BadArtifact` for a name
        that is no version (and so cannot point elsewhere).
        """
        return self.root / checked_version(version)

    def versions(self) -> list[Manifest]:
        """Manifests of all bundles, oldest file first; damaged ones left out."""
        found = []
        paths = self.root.glob(f"*/{MANIFEST_FILE}")
        for path in sorted(paths, key=lambda p: (p.stat().st_mtime, p.parent.name)):
            try:
                found.append(manifest_from_json(path.read_text(), name=str(path)))
            except BadArtifact:
                continue
        return found

    def manifest(self, version: str) -> Manifest:
        """The manifest of one version; raises `BadArtifact` where there is none."""
        path = self.path(version) / MANIFEST_FILE
        if not path.is_file():
            raise BadArtifact(
                f"{self.root}: holds no model {version}; see `scoring models list`"
            )
        return manifest_from_json(path.read_text(), name=str(path))

    def history(self) -> History:
        """Promoted versions, the champion last; empty before the first."""
        path = self.root / POINTER_FILE
        text = path.read_bytes() if path.is_file() else None
        return history_from_json(text, name=str(path))

    def promoted(self) -> str | None:
        """The champion's version, or None before the first promotion."""
        history = self.history()
        return history[-1] if history else None

    def promote(self, version: str) -> None:
        """Make a version the champion; running services notice by themselves."""
        self.manifest(version)
        self.point(promoted(self.history(), version))

    def rollback(self) -> str:
        """Return to the champion before this one, and name it."""
        history = rolled_back(self.history(), name=str(self.root))
        self.manifest(history[-1])
        self.point(history)
        return history[-1]

    def sign(self, version: str, signer: Signer) -> None:
        """Sign a version, replacing another signature."""
        self.manifest(version)
        signer.sign(self.path(version))

    def point(self, history: History) -> None:
        """Let `history` name the champion; raises `BadArtifact` for a directory
        that is itself a bundle.
        """
        if (self.root / MANIFEST_FILE).is_file():
            raise BadArtifact(
                f"{self.root}: is itself a bundle and would be served instead; "
                "keep models in a directory of their own"
            )
        fresh = self.root / f".{POINTER_FILE}.{os.getpid()}"
        fresh.write_text(history_to_json(history))
        fresh.replace(self.root / POINTER_FILE)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A directory to write a bundle to, gone afterwards unless added."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            draft = TemporaryDirectory(prefix=".draft-", dir=self.root)
        except OSError as error:
            raise BadArtifact(
                f"{self.root}: models cannot be written there: {error.strerror}"
            ) from error
        with draft as directory:
            yield Path(directory) / "bundle"

    def keep(self, bundle: Path, version: str) -> None:
        """Move a bundle into the registry; it may hold that version already."""
        place = self.path(version)
        if place.exists():
            shutil.rmtree(bundle)
        else:
            bundle.rename(place)

    def add(self, bundle: Path, version: str) -> bool:
        """Move a bundle into the registry; the first one is promoted (then True)."""
        self.keep(bundle, version)
        if self.promoted() is None:
            self.promote(version)
            return True
        return False


def checked_version(version: str) -> str:
    """The version itself; raises `BadArtifact` for a name that is none.

    >>> checked_version("0123456789abcdef")
    '0123456789abcdef'
    """
    if not _VERSION.fullmatch(version):
        raise BadArtifact(
            f"{version!r} is no model version: 16 hex digits; see `scoring models list`"
        )
    return version


def bundle_in(directory: Path) -> Path:
    """The bundle that a directory means: itself, or the registry's champion.

    Raises `BadArtifact` where it is neither.
    """
    if (directory / MANIFEST_FILE).is_file():
        return directory
    registry = ModelRegistry(directory)
    version = registry.promoted()
    if version is None:
        raise BadArtifact(
            f"{directory}: holds no model; make one with "
            f"`scoring train --out {directory}`"
        )
    return registry.path(version)
