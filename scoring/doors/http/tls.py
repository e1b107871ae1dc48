"""TLS for the HTTP door: every new connection gets the certificates that are there."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from scoring.doors.auth.certificates import CertificateFiles
from scoring.ports.metrics.calls import (
    TLS_EXPIRED,
    TLS_OTHER,
    TLS_PLAIN,
    TLS_REFUSED_OURS,
    TLS_UNTRUSTED,
    TLS_VERSION,
    TLS_WITHOUT,
)

_VERIFY_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
# Ours for each of OpenSSL's words; any other is counted as TLS_OTHER.
_REASONS = {
    "HTTP_REQUEST": TLS_PLAIN,
    "HTTPS_PROXY_REQUEST": TLS_PLAIN,
    "WRONG_VERSION_NUMBER": TLS_PLAIN,  # no record of TLS at all
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": TLS_WITHOUT,
    "CERTIFICATE_VERIFY_FAILED": TLS_UNTRUSTED,
    "UNSUPPORTED_PROTOCOL": TLS_VERSION,
    "NO_SHARED_CIPHER": TLS_VERSION,
    "VERSION_TOO_LOW": TLS_VERSION,
    # What the caller says of the certificate that we showed.
    "TLSV1_ALERT_UNKNOWN_CA": TLS_REFUSED_OURS,
    "SSLV3_ALERT_BAD_CERTIFICATE": TLS_REFUSED_OURS,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": TLS_REFUSED_OURS,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": TLS_REFUSED_OURS,
    "TLSV1_ALERT_DECRYPT_ERROR": TLS_REFUSED_OURS,
    "TLSV1_ALERT_PROTOCOL_VERSION": TLS_VERSION,
}


@dataclass(frozen=True, slots=True)
class Handshakes:
    """Who hears that one begins, and why one failed."""

    begun: Callable[[], None]
    failed: Callable[[str], None]


def context_of(
    files: CertificateFiles, handshakes: Handshakes | None = None
) -> ssl.SSLContext:
    """A context that follows the files; raises `BadArtifact`.

    OpenSSL asks at each greeting, with a server's name or without. A context cannot
    forget roots, so that a new one takes the place of the one in use. Sessions are not
    resumed: a caller is verified each time. `handshakes` hears of each.
    """
    listening = _prepared(files.first().context)
    if handshakes is not None:
        listening.sslobject_class = _watched_by(handshakes)
    current = listening

    def greeted(
        secured: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: object
    ) -> None:
        nonlocal current
        loaded = files.changed()
        if loaded is not None:
            current = _prepared(loaded.context)
        if current is not listening:
            secured.context = current

    listening.sni_callback = greeted
    return listening


def tls_problem(error: ssl.SSLError) -> str:
    """Why a handshake failed, as the metric has it.

    >>> error = ssl.SSLError(1, "[SSL: HTTP_REQUEST] http request (_ssl.c:1006)")
    >>> error.reason = "HTTP_REQUEST"
    >>> tls_problem(error)
    'plain_text'
    """
    if getattr(error, "verify_code", 0) == _VERIFY_EXPIRED:
        return TLS_EXPIRED
    return _REASONS.get(error.reason or "", TLS_OTHER)


def _watched_by(handshakes: Handshakes) -> type[ssl.SSLObject]:
    class Watched(ssl.SSLObject):
        """Tells of a handshake that fails: neither asyncio nor uvloop does."""

        begun = False

        def do_handshake(self) -> None:
            if not self.begun:
                self.begun = True
                handshakes.begun()
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                handshakes.failed(tls_problem(error))
                raise

    return Watched


def _prepared(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context
