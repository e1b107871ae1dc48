"""A directory of model bundles, content-addressed, one of them promoted."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scoring.core.bundle import MANIFEST_FILE, Manifest, manifest_from_json
from scoring.errors import BadArtifact

_POINTER_FILE = "promoted.json"
_HISTORY_MAX = 100  # promotions remembered for rolling back
_VERSION = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class ModelShelf:
    """Bundles under `root`/VERSION, and `root`/promoted.json naming the champion.

    The pointer is replaced atomically: a reader sees the old or the new one.
    """

    root: Path

    def path(self, version: str) -> Path:
        """Where a version lies, present or not; raises `BadArtifact` for a name
        that is no version (and so cannot point elsewhere).
        """
        if not _VERSION.fullmatch(version):
            raise BadArtifact(
                f"{version!r} is no model version: 16 hex digits; "
                "see `scoring models list`"
            )
        return self.root / version

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

    def history(self) -> list[str]:
        """Promoted versions, the champion last; empty before the first."""
        path = self.root / _POINTER_FILE
        try:
            versions = json.loads(path.read_text())["history"]
            return [str(version) for version in versions]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise BadArtifact(f"{path}: is damaged; promote a version again") from error

    def promoted(self) -> str | None:
        """The champion's version, or None before the first promotion."""
        history = self.history()
        return history[-1] if history else None

    def promote(self, version: str) -> None:
        """Make a version the champion; running services notice by themselves."""
        self.manifest(version)
        if (self.root / MANIFEST_FILE).is_file():
            raise BadArtifact(
                f"{self.root}: is itself a bundle and would be served instead; "
                "keep models in a directory of their own"
            )
        history = self.history()
        if history[-1:] != [version]:
            self._point([*history, version])

    def rollback(self) -> str:
        """Return to the champion before this one, and name it."""
        history = self.history()
        if len(history) < 2:  # noqa: PLR2004 - a champion and one before it
            raise BadArtifact(f"{self.root}: no earlier model was promoted")
        self.manifest(history[-2])
        self._point(history[:-1])
        return history[-2]

    def _point(self, history: list[str]) -> None:
        fresh = self.root / f".{_POINTER_FILE}.{os.getpid()}"
        fresh.write_text(json.dumps({"history": history[-_HISTORY_MAX:]}) + "\n")
        fresh.replace(self.root / _POINTER_FILE)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A directory to write a bundle to, gone afterwards unless added."""
        self.root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".draft-", dir=self.root) as directory:
            yield Path(directory) / "bundle"

    def add(self, bundle: Path, version: str) -> bool:
        """Move a bundle onto the shelf; the first one is promoted (then True)."""
        place = self.path(version)
        if place.exists():
            shutil.rmtree(bundle)
        else:
            bundle.rename(place)
        if self.promoted() is None:
            self.promote(version)
            return True
        return False


def bundle_in(directory: Path) -> Path:
    """The bundle that a directory means: itself, or the shelf's champion.

    Raises `BadArtifact` where it is neither.
    """
    if (directory / MANIFEST_FILE).is_file():
        return directory
    shelf = ModelShelf(directory)
    version = shelf.promoted()
    if version is None:
        raise BadArtifact(
            f"{directory}: holds no model; make one with "
            f"`scoring train --out {directory}`"
        )
    return shelf.path(version)
