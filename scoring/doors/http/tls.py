"""TLS for the HTTP door: every new connection gets the certificates that are there."""

from __future__ import annotations

import ssl

from scoring.doors.auth.certificates import CertificateFiles


def context_of(files: CertificateFiles) -> ssl.SSLContext:
    """A context that follows the files; raises `BadArtifact`.

    OpenSSL asks at each greeting, with a server's name or without. A context cannot
    forget roots, so that a new one takes the place of the one in use. Sessions are not
    resumed: a caller is verified each time.
    """
    listening = _prepared(files.first().context)
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


def _prepared(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context
