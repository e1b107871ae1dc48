"""TLS for the door: certificates that are re-read when their files change."""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from scoring.errors import BadArtifact

_log = logging.getLogger(__name__)
Stamp = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Certificates:
    """The server's certificate, its key, and the roots of its callers.

    Every new connection looks whether a file has changed. A rotation takes effect
    only when certificate and key belong together and nothing changed while they
    were read: half-written files leave the ones in use. With `client_ca_file`
    callers must present a certificate.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    _seen: Stamp = field(default=())

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that follow the files; raises `BadArtifact`."""
        initial = self._load()
        if initial is None:
            raise BadArtifact(f"{self.cert_file}: changed while it was read; try again")
        return grpc.dynamic_ssl_server_credentials(
            initial,
            self._changed,  # type: ignore[arg-type] # None keeps: the stubs forget it
            require_client_authentication=self.client_ca_file is not None,
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new configuration, or None to keep the one in use."""
        try:
            if self._stamp() == self._seen:
                return None
            loaded = self._load()
        except (BadArtifact, OSError) as error:
            _log.warning(
                "the certificate in use stays: the new files are refused: %s", error
            )
            return None
        if loaded is not None:
            _log.warning("certificate replaced from %s", self.cert_file)
        return loaded

    def _load(self) -> grpc.ServerCertificateConfiguration | None:
        try:
            before = self._stamp()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.cert_file, self.key_file)
            if self.client_ca_file:
                context.load_verify_locations(self.client_ca_file)
            pair = (self.key_file.read_bytes(), self.cert_file.read_bytes())
            roots = self.client_ca_file.read_bytes() if self.client_ca_file else None
        except (OSError, ssl.SSLError) as error:
            raise BadArtifact(
                f"{self.cert_file}: certificate refused: {error}"
            ) from error
        if self._stamp() != before:
            return None
        self._seen = before
        return grpc.ssl_server_certificate_configuration([pair], roots)

    def _stamp(self) -> Stamp:
        paths = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(_stamp_of(path) for path in paths if path is not None)


def _stamp_of(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116 - follows the links that Kubernetes swaps
    return (status.st_mtime_ns, status.st_size, status.st_ino)
