"""A registry of model bundles in object storage, with proved copies on this machine."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from scoring.core.model import bundle
from scoring.core.model.bundle import MANIFEST_FILE, SIGNATURE_FILE, Manifest
from scoring.core.model.promotion import (
    POINTER_FILE,
    History,
    history_from_json,
    history_to_json,
    promoted,
    rolled_back,
)
from scoring.core.url import scrubbed, shown, split_url
from scoring.errors import BadArtifact, ModelRegistryUnavailable
from scoring.models.registry import ModelRegistry, checked_version
from scoring.models.signature import Signer

T = TypeVar("T")
_URL = re.compile(r"[a-z][a-z0-9+.-]*(::|://)")


def is_url(place: str) -> bool:
    """Whether a place is a URL and not a directory of this machine.

    >>> is_url("s3://bucket/models"), is_url("/srv/models"), is_url("models")
    (True, False, False)
    """
    return _URL.match(place) is not None


@dataclass(frozen=True, slots=True)
class RemoteModelRegistry:
    """Bundles under `url`/VERSION and `url`/promoted.json, read through fsspec.

    A version is copied to `cache` on first use and proved against the hashes in its
    manifest, each time it is asked for. Every method blocks on the network and
    raises `ModelRegistryUnavailable` where the storage fails.
    """

    url: str
    files: Any
    root: str
    cache: ModelRegistry

    @classmethod
    def at(cls, url: str, cache: Path) -> RemoteModelRegistry:
        """The registry at a URL; raises `BadArtifact` where its driver is missing."""
        split_url(url, setting="the URL of the models")
        try:
            import fsspec

            files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise BadArtifact(
                f"{shown(url)}: needs fsspec and the storage's driver ({error}); "
                "install the extra 'remote' (pip install 'fraud-scoring[remote]') "
                "and it"
            ) from error
        except ValueError as error:
            why = scrubbed(str(error), url)
            raise BadArtifact(f"{shown(url)}: names no storage: {why}") from error
        except OSError as error:  # some drivers connect at once
            why = scrubbed(str(error), url)
            raise ModelRegistryUnavailable(f"{shown(url)}: {why}") from error
        return cls(url.rstrip("/"), files, root.rstrip("/"), ModelRegistry(cache))

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return shown(self.url)

    def versions(self) -> list[Manifest]:
        """Manifests of all bundles, judged on the oldest rows first; damaged ones
        left out.
        """
        found = []
        for path in self._call(self._listing):
            name = path.rstrip("/").rsplit("/", 1)[-1]
            try:
                found.append(self.manifest(checked_version(name)))
            except BadArtifact:
                continue
        return sorted(found, key=lambda m: (m.training.evaluated_until_ms, m.version))

    def manifest(self, version: str) -> Manifest:
        """The manifest of one version; raises `BadArtifact` where there is none."""
        name = f"{self.place}/{version}/{MANIFEST_FILE}"
        raw = self._read(checked_version(version), MANIFEST_FILE)
        if raw is None:
            raise BadArtifact(
                f"{self.place}: holds no model {version}; see `scoring models list`"
            )
        manifest = bundle.manifest_from_json(raw.decode(errors="replace"), name=name)
        if manifest.version != version:
            raise BadArtifact(f"{name}: is of model {manifest.version}")
        return manifest

    def path(self, version: str) -> Path:
        """A version's directory on this machine, copied here where it is not yet."""
        place = self.cache.path(version)
        with self._alone():
            if not _whole(place):
                self._copy(version)
            signature = self._read(version, SIGNATURE_FILE)
            if signature is not None and _signature(place) != signature:
                _replace(place / SIGNATURE_FILE, signature)
        return place

    def history(self) -> History:
        """Promoted versions, the champion last; empty before the first."""
        name = f"{self.place}/{POINTER_FILE}"
        return history_from_json(self._read(POINTER_FILE), name=name)

    def promoted(self) -> str | None:
        """The champion's version, or None before the first promotion."""
        history = self.history()
        return history[-1] if history else None

    def promote(self, version: str) -> None:
        """Make a version the champion; running services notice by themselves."""
        self.manifest(version)
        self._point(promoted(self.history(), version))

    def rollback(self) -> str:
        """Return to the champion before this one, and name it."""
        history = rolled_back(self.history(), name=self.place)
        self.manifest(history[-1])
        self._point(history)
        return history[-1]

    def pull(self) -> None:
        """Let the copy on this machine name the same champion, and hold it."""
        history = self.history()
        if not history:
            return
        known = self.cache.history() == history
        if known and _signature(self.cache.path(history[-1])) is not None:
            return
        self.path(history[-1])
        if not known:
            self.cache.point(history)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A local directory to write a bundle to, removed afterwards."""
        with TemporaryDirectory(prefix="bundle-") as directory:
            yield Path(directory) / "bundle"

    def add(self, draft: Path, version: str) -> bool:
        """Upload a bundle; the first one is promoted (then True).

        The manifest goes last: what has none is no bundle.
        """
        files = sorted(path for path in draft.rglob("*") if path.is_file())
        for path in sorted(files, key=lambda path: path.name == MANIFEST_FILE):
            self._write(path.read_bytes(), version, str(path.relative_to(draft)))
        if self.promoted() is None:
            self.promote(version)
            return True
        return False

    def sign(self, version: str, signer: Signer) -> None:
        """Sign a version, replacing another signature."""
        self.manifest(version)
        raw = self._read(version, MANIFEST_FILE) or b""
        self._write(signer.signature(raw), version, SIGNATURE_FILE)

    def _point(self, history: History) -> None:
        self._write(history_to_json(history).encode(), POINTER_FILE)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes of this machine from copying at the same time."""
        try:
            self.cache.root.mkdir(parents=True, exist_ok=True)
            lock = (self.cache.root / ".lock").open("w")
        except OSError as error:
            raise BadArtifact(
                f"{self.cache.root}: must be writable, to hold copies of the models "
                f"in {self.place} ({error.strerror})"
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _copy(self, version: str) -> None:
        """Copy a bundle here, prove it, and put it in its place in one step."""
        manifest = self.manifest(version)
        with self.cache.draft() as draft:
            draft.mkdir()
            for file in (*manifest.files, MANIFEST_FILE):
                raw = self._read(version, file)
                if raw is None:
                    raise BadArtifact(f"{self.place}/{version}/{file}: is missing")
                (draft / file).write_bytes(raw)
            bundle.check_files(
                manifest, _contents(draft, manifest), name=f"{self.place}/{version}"
            )
            shutil.rmtree(self.cache.path(version), ignore_errors=True)
            self.cache.keep(draft, version)

    def _listing(self) -> list[str]:
        self.files.invalidate_cache()
        if not self.files.exists(self.root):
            return []
        return [str(path) for path in self.files.ls(self.root, detail=False)]

    def _read(self, *names: str) -> bytes | None:
        """A file's bytes, or None where there is none."""
        path = "/".join((self.root, *names))
        try:
            return bytes(self._call(lambda: self.files.cat_file(path)))
        except FileNotFoundError:
            return None

    def _write(self, raw: bytes, *names: str) -> None:
        path = "/".join((self.root, *names))
        self._call(lambda: self.files.makedirs(path.rsplit("/", 1)[0], exist_ok=True))
        self._call(lambda: self.files.pipe_file(path, raw))

    def _call(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except FileNotFoundError:
            raise
        except Exception as error:  # every driver raises its own
            why = scrubbed(str(error), self.url)
            raise ModelRegistryUnavailable(f"{self.place}: {why}") from error


def _contents(place: Path, manifest: Manifest) -> dict[str, bytes]:
    return {
        file: (place / file).read_bytes()
        for file in manifest.files
        if (place / file).is_file()
    }


def _whole(place: Path) -> bool:
    """Whether a copy is all there and is what was exported."""
    path = place / MANIFEST_FILE
    if not path.is_file():
        return False
    try:
        manifest = bundle.manifest_from_json(path.read_text(), name=str(path))
        bundle.check_files(manifest, _contents(place, manifest), name=str(place))
    except (BadArtifact, UnicodeDecodeError):
        return False
    return manifest.version == place.name


def _signature(place: Path) -> bytes | None:
    path = place / SIGNATURE_FILE
    return path.read_bytes() if path.is_file() else None


def _replace(path: Path, raw: bytes) -> None:
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(raw)
    fresh.replace(path)
