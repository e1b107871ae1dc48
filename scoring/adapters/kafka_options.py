"""Client options as the settings spell them, for aiokafka and for Faust."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from faust import SASLCredentials, SSLCredentials

from scoring.errors import BadArtifact

_TLS_FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
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
    chosen: dict[str, Any] = {k: v for k, v in options.items() if k in _PLAIN}
    if options.get("security_protocol", "").endswith("SSL"):
        chosen["ssl_context"] = _tls(options)
    return chosen


def faust_credentials(
    options: Mapping[str, str],
) -> SASLCredentials | SSLCredentials | None:
    """The same options as Faust's credentials; None for a plain connection.

    >>> faust_credentials({}) is None
    True
    """
    protocol = options.get("security_protocol", "PLAINTEXT")
    if protocol == "SSL":
        return SSLCredentials(context=_tls(options))
    if protocol.startswith("SASL"):
        return SASLCredentials(
            username=options.get("sasl_plain_username"),
            password=options.get("sasl_plain_password"),
            mechanism=options.get("sasl_mechanism", "PLAIN"),
            ssl_context=_tls(options) if protocol.endswith("SSL") else None,
        )
    return None


def _tls(options: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_cafile"))
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
