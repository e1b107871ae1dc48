"""How a caller should connect: retries, throttling, keep-alive, certificates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

SERVICE = "scoring.v1.FraudScoring"
# A batch of 1,000 decisions is about 1 MB.
_RECEIVED_BYTES_MAX = 8 * 1_048_576
_KEEPALIVE_MS = 30_000

# Retries are safe (a transaction is decided once) and still rare: only where the
# connection was lost, once, and never into an overload (the throttle: a failing
# server sees at most one retry in ten calls). Hedging is off: it doubles the load
# exactly when there is too much of it.
SERVICE_CONFIG: dict[str, Any] = {
    "loadBalancingConfig": [{"round_robin": {}}],
    # A replica that says NOT_SERVING gets no new calls: a drain then drops nothing.
    "healthCheckConfig": {"serviceName": SERVICE},
    "methodConfig": [
        {
            "name": [{"service": SERVICE}],
            "retryPolicy": {
                "maxAttempts": 2,
                "initialBackoff": "0.005s",
                "maxBackoff": "0.05s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}


@dataclass(frozen=True, slots=True)
class Security:
    """Files for TLS; certificate and key of our own make it mutual TLS.

    Without a `ca_file` the usual authorities are trusted, which gRPC brings.
    `server_name` overrides the name that the server's certificate must carry.
    `token_file` holds a signed token that names us; it is read for every call, so
    whoever writes a fresh one there need tell nobody.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    token_file: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files; raises `OSError`."""
        encrypted = grpc.ssl_channel_credentials(
            self.ca_file.read_bytes() if self.ca_file else None,
            self.key_file.read_bytes() if self.key_file else None,
            self.cert_file.read_bytes() if self.cert_file else None,
        )
        if self.token_file is None:
            return encrypted
        token = grpc.metadata_call_credentials(TokenFilePlugin(self.token_file))
        return grpc.composite_channel_credentials(encrypted, token)


@dataclass(frozen=True, slots=True)
class TokenFilePlugin(grpc.AuthMetadataPlugin):
    """Sends the token of a file along with every call."""

    token_file: Path

    def __call__(
        self,
        context: grpc.AuthMetadataContext,  # noqa: ARG002 - every call gets the same
        callback: grpc.AuthMetadataPluginCallback,
    ) -> None:
        """Read the file; where it cannot be read the call fails with its error."""
        try:
            token = self.token_file.read_text().strip()
        except OSError as error:
            callback((), error)
        else:
            callback((("authorization", f"Bearer {token}"),), None)


def channel_arguments(security: Security | None = None) -> list[tuple[str, Any]]:
    """Channel options for C-core.

    >>> ("grpc.enable_retries", 1) in channel_arguments()
    True
    """
    arguments: list[tuple[str, Any]] = [
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", _RECEIVED_BYTES_MAX),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        # Also while nothing is asked, and for as long: then a network forgets us.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    if security and security.server_name:
        arguments.append(("grpc.ssl_target_name_override", security.server_name))
    return arguments
