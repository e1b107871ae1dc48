"""Client options as Faust's credentials."""

from __future__ import annotations

from collections.abc import Mapping

from faust import SASLCredentials, SSLCredentials

from scoring.kafka.client_options import tls_context


def faust_credentials(
    options: Mapping[str, str],
) -> SASLCredentials | SSLCredentials | None:
    """Credentials that connect as the options say; None for a plain connection.

    >>> faust_credentials({}) is None
    True
    """
    protocol = options.get("security_protocol", "PLAINTEXT")
    if protocol == "SSL":
        return SSLCredentials(context=tls_context(options))
    if protocol.startswith("SASL"):
        return SASLCredentials(
            username=options.get("sasl_plain_username"),
            password=options.get("sasl_plain_password"),
            mechanism=options.get("sasl_mechanism", "PLAIN"),
            ssl_context=tls_context(options) if protocol.endswith("SSL") else None,
        )
    return None
