"""TLS for the gRPC door: every new connection gets the certificates that are there."""

from __future__ import annotations

import grpc

from scoring.doors.auth.certificates import CertificateFiles, LoadedCertificates


def credentials_of(files: CertificateFiles) -> grpc.ServerCredentials:
    """Credentials that follow the files; raises `BadArtifact`."""

    def changed() -> grpc.ServerCertificateConfiguration | None:
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
