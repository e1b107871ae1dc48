"""TLS for the gRPC door: every new connection gets the certificates that are there."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from scoring.doors.auth.certificates import CertificateFiles, LoadedCertificates


def credentials_of(
    files: CertificateFiles, begun: Callable[[], None] = lambda: None
) -> grpc.ServerCredentials:
    """Credentials that follow the files; raises `BadArtifact`.

    `begun` hears of each handshake, from a thread of gRPC's; whether it succeeds gRPC
    tells nobody.
    """

    def changed() -> grpc.ServerCertificateConfiguration | None:
        begun()
        loaded = files.changed()
        return None if loaded is None else _configuration(loaded)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(files.first()),
        changed,  # type: ignore[arg-type] # None keeps: the stubs forget it
        require_client_authentication=files.client_ca_file is not None,
    )


def _configuration(loaded: LoadedCertificates) -> grpc.ServerCertificateConfiguration:
    pair = (loaded.key, loaded.chain)
    return grpc.ssl_server_certificate_configuration([pair], loaded.client_roots)
