"""The package as `pip install fraud-scoring` brings it: no extra, compiled, alone."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import toolbox

SIZE_MB_MAX = 40


@dataclass(frozen=True, slots=True)
class LightInstall:
    """A virtual environment that holds the built wheel and what it requires."""

    root: Path

    @classmethod
    def made(cls, directory: Path) -> LightInstall:
        """Build the wheel and install it; raises `CalledProcessError`."""
        uv, root = toolbox.uv(), directory / "venv"
        _run(uv, "build", "--wheel", "--quiet", "--out-dir", directory, toolbox.ROOT)
        (wheel,) = directory.glob("*.whl")
        _run(uv, "venv", "--quiet", root)
        into = ("--python", root / "bin" / "python")
        # As pip does: compiled, and every file a file of its own.
        how = ("--quiet", "--compile-bytecode", "--link-mode=copy")
        _run(uv, "pip", "install", *how, *into, wheel)
        return cls(root)

    @property
    def size_mb(self) -> float:
        """All that the install brought, in megabytes of 10^6 bytes."""
        files = (self.root / "lib").rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file()) / 1e6

    @property
    def packages(self) -> set[str]:
        """The distributions in it."""
        into = ("--python", self.root / "bin" / "python")
        listed = _run(toolbox.uv(), "pip", "list", "--format=json", *into)
        return {one["name"] for one in json.loads(listed)}

    def python(self, words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it, far from this repository."""
        return self._ended("python", "-c", words, **env)

    def scoring(
        self, *words: str, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return self._ended("scoring", *words, stdin=stdin, **env)

    def _ended(
        self, program: str, *words: str, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / "bin" / program, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.root,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **env},
        )


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=True,
        cwd=toolbox.ROOT,
    )
    return done.stdout
