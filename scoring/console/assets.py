"""What pages load: our style and script, and those of others, all from this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).with_name("static")
_TAG_CHARACTERS = 12
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Vendored:
    """A file of somebody else's, as it was published on npm."""

    package: str
    version: str
    path: str
    licence: str
    sha256: str


# Brought by `npm pack PACKAGE@VERSION`; a test compares each with its hash.
VENDORED: Mapping[str, Vendored] = {
    "htmx.min.js": Vendored(
        "htmx.org",
        "4.0.1",
        "dist/htmx.min.js",
        "0BSD",
        "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    ),
    "hx-sse.min.js": Vendored(
        "htmx.org",
        "4.0.1",
        "dist/ext/hx-sse.min.js",
        "0BSD",
        "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
    ),
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served; its `tag` changes with its content."""

    content: bytes
    kind: str
    tag: str


def loaded() -> dict[str, Asset]:
    """Every file that pages may load, by its name."""
    return {
        file.name: Asset(content, _KINDS[file.suffix], _tag(content))
        for file in sorted(FOLDER.iterdir())
        if file.suffix in _KINDS
        for content in [file.read_bytes()]
    }


def _tag(content: bytes) -> str:
    return sha256(content).hexdigest()[:_TAG_CHARACTERS]
