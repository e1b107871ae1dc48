"""Ed25519 signatures of model bundles: who may bring a model that decides."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from scoring.core.model.bundle import MANIFEST_FILE, SIGNATURE_FILE, manifest_from_json
from scoring.errors import BadArtifact

# Signed with the manifest: a signature made for another purpose proves nothing here.
_PURPOSE = b"fraud-scoring model bundle 1\n"
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class Trust:
    """Public keys; a bundle signed by any of them may decide.

    Several keys are in one file while one replaces another.
    """

    keys: tuple[Ed25519PublicKey, ...]

    @classmethod
    def from_file(cls, path: Path) -> Trust:
        """Read PEM public keys, one after another; raises `BadArtifact`."""
        found = _PEM.findall(_read(path))
        if not found:
            raise BadArtifact(
                f"{path}: holds no public key in PEM; make a pair with "
                "`scoring models key`"
            )
        keys = []
        for pem in found:
            try:
                key = serialization.load_pem_public_key(pem)
            except (ValueError, UnsupportedAlgorithm) as error:
                raise BadArtifact(f"{path}: a key cannot be read") from error
            if not isinstance(key, Ed25519PublicKey):
                raise BadArtifact(f"{path}: a key is not Ed25519; make one that is")
            keys.append(key)
        return cls(tuple(keys))

    def check(self, manifest: bytes, signature: bytes | None, *, name: str) -> None:
        """Raise `BadArtifact` unless a trusted key signed exactly this manifest.

        The manifest holds the hash of every other file, so all of them are covered.
        """
        if signature is None:
            raise BadArtifact(
                f"{name}: {SIGNATURE_FILE}: is missing and only signed models are "
                "taken here; sign it with `scoring models sign`"
            )
        try:
            raw = base64.b64decode(signature.strip(), validate=True)
        except binascii.Error as error:
            raise BadArtifact(f"{name}: {SIGNATURE_FILE}: is damaged") from error
        if not any(_signed_by(key, raw, manifest) for key in self.keys):
            raise BadArtifact(
                f"{name}: {SIGNATURE_FILE}: is not of this manifest by a key that is "
                "trusted here; the bundle was changed, or signed by someone else"
            )


def _signed_by(key: Ed25519PublicKey, signature: bytes, manifest: bytes) -> bool:
    try:
        key.verify(signature, _PURPOSE + manifest)
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that vouches for bundles."""

    key: Ed25519PrivateKey

    @classmethod
    def from_file(cls, path: Path) -> Signer:
        """Read an unencrypted PEM private key; raises `BadArtifact`."""
        try:
            key = serialization.load_pem_private_key(_read(path), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadArtifact(
                f"{path}: is no unencrypted private key in PEM; make a pair with "
                "`scoring models key`"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadArtifact(f"{path}: the key is not Ed25519; make one that is")
        return cls(key)

    def sign(self, bundle: Path) -> None:
        """Sign the bundle in a directory, replacing another signature.

        Raises `BadArtifact` where its manifest was edited after the export.
        """
        path = bundle / MANIFEST_FILE
        manifest = _read(path)
        manifest_from_json(manifest.decode(errors="replace"), name=str(path))
        (bundle / SIGNATURE_FILE).write_bytes(self.signature(manifest))

    def signature(self, manifest: bytes) -> bytes:
        """The signature file of a manifest's bytes."""
        return base64.b64encode(self.key.sign(_PURPOSE + manifest)) + b"\n"


def write_key_pair(directory: Path) -> tuple[Path, Path]:
    """Make a pair: (private key readable by its owner only, public key).

    Raises `BadArtifact` where one of the files is there already.
    """
    private, public = directory / "model-signing.pem", directory / "model-trust.pem"
    for path in (private, public):
        if path.exists():
            raise BadArtifact(f"{path}: exists already; keys are never overwritten")
    directory.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    private.touch(_OWNER_ONLY)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadArtifact(f"{path}: cannot be read ({error.strerror})") from error
