"""A certificate authority for tests, made by the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs leaves; `root` is what peers must trust."""

    directory: Path
    name: str

    @property
    def root(self) -> Path:
        return self.directory / f"{self.name}.crt"

    @classmethod
    def made(cls, directory: Path, name: str = "ca") -> Authority:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl on this machine: apt-get install openssl")
        made = cls(directory, name)
        key = directory / f"{name}.key"
        _openssl(
            "req", "-x509", *_KEY, "-keyout", key, "-out", made.root, "-days", "2",
            "-subj", f"/CN={name}",
        )  # fmt: skip
        return made

    def leaf(self, name: str, *, san: str = "", days: int = 1) -> Leaf:
        """A signed leaf; `days` below zero has expired already."""
        made = Leaf(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        request = self.directory / f"{name}.csr"
        _openssl(
            "req", "-new", *_KEY, "-keyout", made.key, "-out", request,
            "-subj", f"/CN={name}",
        )  # fmt: skip
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={san}\n" if san else "")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.root,
            "-CAkey", self.directory / f"{self.name}.key", "-CAcreateserial",
            "-out", made.cert, "-extfile", extensions, "-days", str(days),
        )  # fmt: skip
        return made


def _openssl(*words: str | Path) -> None:
    subprocess.run(
        ["openssl", *map(str, words)], check=True, capture_output=True, text=True
    )
