"""The image without a container engine: the Dockerfile's own steps in a directory.

Its stages become one directory with the environment that its last stage sets. What
only an engine can do (users, the base image) is left out; the rest runs as written.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import toolbox

DOCKERFILE = toolbox.ROOT / "Dockerfile"
# What is here already, or needs the root of a container.
_LEFT_OUT = ("pip install --no-cache-dir uv==", "groupadd ")


def instructions() -> Iterator[tuple[str, str]]:
    """(instruction, its words) of the Dockerfile."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line[:1] != "#"]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, words = line.partition(" ")
            yield name, words.strip()


@dataclass(slots=True)
class Image:
    """What was built: a root directory, and the environment of its processes."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    _arguments: dict[str, str] = field(default_factory=dict)
    _directory: str = "/"

    def build(self) -> None:
        """Run every instruction; raises `CalledProcessError`."""
        for name, words in instructions():
            step = getattr(self, f"_{name.lower()}", None)
            if step is not None:
                step(words)

    @property
    def command(self) -> list[str]:
        """The entry point, where it lies here."""
        return [str(self.within("/app/.venv/bin") / "scoring")]

    def within(self, path: str) -> Path:
        """A path of the image, here."""
        return self.root / path.lstrip("/")

    def _from(self, _words: str) -> None:
        self.environment, self._arguments, self._directory = {}, {}, "/"

    def _workdir(self, path: str) -> None:
        self._directory = path
        self.within(path).mkdir(parents=True, exist_ok=True)

    def _arg(self, words: str) -> None:
        name, _, value = words.partition("=")
        self._arguments[name] = shlex.split(value)[0]

    def _env(self, words: str) -> None:
        for word in shlex.split(words):
            name, _, value = word.partition("=")
            self.environment[name] = value.removesuffix(":$PATH")

    def _copy(self, words: str) -> None:
        *sources, target = words.split()
        if sources[0].startswith("--from="):
            assert sources[1:] == [target], "both stages are one directory here"
            return
        for source in sources:
            here = toolbox.ROOT / source
            place = self.within(self._directory) / target
            if here.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(here, place, ignore=ignored)
            else:
                shutil.copy(here, place)

    def _run(self, words: str) -> None:
        if words.startswith(_LEFT_OUT):
            return
        command = re.sub(r"^uv ", f"{shlex.quote(toolbox.uv())} ", words)
        subprocess.run(
            ["sh", "-euc", command],
            cwd=self.within(self._directory),
            env=_outside() | self.environment | self._arguments,
            capture_output=True,
            text=True,
            check=True,
        )


def _outside() -> dict[str, str]:
    """This process's environment without what would steer uv."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "VIRTUAL"))}
