"""Tokens of ours: what one looks like, and what is kept of it."""

from __future__ import annotations

import secrets
from hashlib import sha256

# Ours are told from an identity provider's by how they begin.
TOKEN_PREFIX = "fsc_"  # noqa: S105 - of tokens, and none of them
_TOKEN_BYTES = 32


def new_token() -> str:
    """A token with 256 bits of chance.

    >>> new_token().startswith(TOKEN_PREFIX)
    True
    """
    return TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def token_digest(token: str) -> str:
    """What is kept of a token: it cannot be guessed, so that a hash is enough.

    >>> len(token_digest(new_token()))
    64
    """
    return sha256(token.encode("utf-8", "replace")).hexdigest()
