"""Client options as the settings spell them, as aiokafka takes them."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from scoring.errors import BadArtifact

_TLS_FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
_VALUES = {
    "security_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
}
_PLAIN = (
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "client_id",
)


def client_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Keyword arguments for any aiokafka client; raises `BadArtifact`.

    >>> client_options({"security_protocol": "PLAINTEXT"})
    {'security_protocol': 'PLAINTEXT'}
    """
    unknown = sorted(set(options) - {*_PLAIN, *_TLS_FILES})
    if unknown:
        raise BadArtifact(
            f"SCORING_KAFKA_OPTIONS: {unknown[0]} is not an option; "
            f"known are {', '.join((*_PLAIN, *_TLS_FILES))}"
        )
    for name, known in _VALUES.items():
        if options.get(name, known[0]) not in known:
            raise BadArtifact(
                f"SCORING_KAFKA_OPTIONS: {name} is one of {', '.join(known)}"
            )
    chosen: dict[str, Any] = {k: v for k, v in options.items() if k in _PLAIN}
    if options.get("security_protocol", "").endswith("SSL"):
        chosen["ssl_context"] = tls_context(options)
    return chosen


class _Leaving(ssl.SSLObject):
    """Says that it leaves and goes, which the protocol allows.

    Kafka does not answer a client that closes: each connection would take the
    event loop's 30 s to do so, and a worker reads an output's tail by one.
    """

    def unwrap(self) -> None:
        """Send the notice; never wait for the peer's."""
        with suppress(ssl.SSLWantReadError):
            super().unwrap()


def tls_context(options: Mapping[str, str]) -> ssl.SSLContext:
    """TLS with the authorities and the certificate that the options name."""
    context = ssl.create_default_context(cafile=options.get("ssl_cafile"))
    context.sslobject_class = _Leaving
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
