"""Notices that another model was promoted, and brings it proved and warm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scoring.core.model.bundle import MANIFEST_FILE, manifest_from_json
from scoring.errors import BadArtifact, ModelRegistryUnavailable
from scoring.models.registry import bundle_in
from scoring.ports.model import Model

POLL_S = 1.0  # a promotion is a human act: a second later is at once


@dataclass(frozen=True, slots=True)
class ModelWatch:
    """Follows a directory of models and hands over each newly promoted one.

    `load` proves and warms a bundle in a worker thread while the old model continues
    deciding; `take` then gets it on the event loop, to swap one reference.
    `refused` gets why a bundle was not taken, once until it changes; the old one
    stays. `refresh` brings the directory up to date before each look.
    """

    directory: Path
    load: Callable[[Path], Model]
    take: Callable[[Model], None]
    refused: Callable[[str], None]
    refresh: Callable[[], None] = lambda: None
    poll_s: float = POLL_S

    async def follow(self, version: str) -> None:
        """Watch until cancelled, starting from the `version` that is loaded."""
        seen: _Look | str = ""
        while True:
            await asyncio.sleep(self.poll_s)
            look = await asyncio.to_thread(self._look)
            if look == seen:
                continue
            seen = look
            try:
                model = await asyncio.to_thread(self._newer, look, version)
            except (BadArtifact, OSError) as error:
                self.refused(str(error))
                continue
            if model is not None:
                self.take(model)
                version = model.version

    def _look(self) -> _Look | str:
        """The bundle that is meant now, or why there is none; blocks."""
        try:
            self.refresh()
        except (BadArtifact, ModelRegistryUnavailable, OSError) as error:
            return str(error)
        return _look(self.directory)

    def _newer(self, look: _Look | str, version: str) -> Model | None:
        """The model looked at, loaded, where it is another one; blocks."""
        if isinstance(look, str):
            raise BadArtifact(look)
        path = look.directory / MANIFEST_FILE
        if manifest_from_json(path.read_text(), name=str(path)).version == version:
            return None
        return self.load(look.directory)


@dataclass(frozen=True, slots=True)
class _Look:
    """A bundle as the file system shows it: what has not changed is not read."""

    directory: Path
    files: tuple[tuple[str, int, int], ...]  # name, modified, size


def _look(directory: Path) -> _Look | str:
    """The bundle meant by a directory, or why there is none."""
    try:
        bundle = bundle_in(directory)
        found = ((path.name, path.stat()) for path in sorted(bundle.iterdir()))
        return _Look(bundle, tuple((n, s.st_mtime_ns, s.st_size) for n, s in found))
    except (BadArtifact, OSError) as error:
        return str(error)
