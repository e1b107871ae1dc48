"""Certificates of the doors, re-read when their files change."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scoring.errors import BadArtifact
from scoring.ports.events import Event

_log = logging.getLogger(__name__)
Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class LoadedCertificates:
    """What the files hold, PEM; `context` has it all and asks for what we ask for."""

    key: bytes
    chain: bytes
    client_roots: bytes | None
    context: ssl.SSLContext


@dataclass(slots=True)
class CertificateFiles:
    """The server's certificate, its key, and the roots of its callers.

    A rotation takes effect only when certificate and key belong together and nothing
    changed while they were read: half-written files leave the ones in use. With
    `client_ca_file` callers must present a certificate. `count` hears of rotations;
    `expires_at` is when the server's certificate and the first root do, seconds since
    1970.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    count: Callable[[Event], None] = lambda _event: None
    expires_at: dict[str, float] = field(default_factory=dict)
    _seen: Stamp = field(default=())

    def first(self) -> LoadedCertificates:
        """What the files hold now; raises `BadArtifact`."""
        loaded = self._load()
        if loaded is None:
            raise BadArtifact(f"{self.cert_file}: changed while it was read; try again")
        return loaded

    def changed(self) -> LoadedCertificates | None:
        """What they hold where that is new, or None to keep what is in use."""
        try:
            if self._stamp() == self._seen:
                return None
            loaded = self._load()
        except (BadArtifact, OSError) as error:
            self.count(Event.CERTIFICATE_REFUSED)
            _log.warning(
                "the certificate in use stays: the new files are refused: %s", error
            )
            return None
        if loaded is not None:
            self.count(Event.CERTIFICATE_TAKEN)
            _log.warning("certificate replaced from %s", self.cert_file)
        return loaded

    def _load(self) -> LoadedCertificates | None:
        try:
            before = self._stamp()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.cert_file, self.key_file)
            roots = None
            if self.client_ca_file:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.client_ca_file)
                roots = self.client_ca_file.read_bytes()
            key, chain = self.key_file.read_bytes(), self.cert_file.read_bytes()
        except (OSError, ssl.SSLError) as error:
            raise BadArtifact(
                f"{self.cert_file}: certificate refused: {error}"
            ) from error
        if self._stamp() != before:
            return None
        self._seen = before
        self._note_expiry(chain, roots)
        return LoadedCertificates(key, chain, roots, context)

    def _note_expiry(self, chain: bytes, roots: bytes | None) -> None:
        # Cryptography takes a while to import: only who has certificates pays for it.
        from cryptography import x509

        ends = [c.not_valid_after_utc for c in x509.load_pem_x509_certificates(chain)]
        self.expires_at["server"] = ends[0].timestamp()
        if roots is not None:
            known = x509.load_pem_x509_certificates(roots)
            first = min(each.not_valid_after_utc for each in known)
            self.expires_at["client_ca"] = first.timestamp()

    def _stamp(self) -> Stamp:
        paths = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(_stamp_of(path) for path in paths if path is not None)


def _stamp_of(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116 - follows the links that Kubernetes swaps
    return (status.st_mtime_ns, status.st_size, status.st_ino)
