"""URLs that an operator sets: split, and shown without the secrets that they hold."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from scoring.errors import BadArtifact

_USER = re.compile(r"(?<=//)[^/?#]*@")
_QUERY = re.compile(r"\?.*", re.DOTALL)
_ESCAPED = (
    "write special characters of its user and password percent-encoded: "
    "/ as %2F, # as %23, ? as %3F, @ as %40, [ as %5B, ] as %5D"
)


def split_url(url: str, *, setting: str) -> SplitResult:
    """The parts of a URL; raises `BadArtifact`, which repeats none of it.

    A character that ends the host's part ends it within a password too. What follows
    would be taken for a path, and what precedes it for a host, to be looked up and
    named in errors: an @ beyond the host's part tells.

    >>> split_url("redis://:a%2Fb@store:6379/0", setting="X").hostname
    'store'
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadArtifact(f"{setting}: is not a URL; {_ESCAPED}") from error
    if parts.netloc and "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise BadArtifact(f"{setting}: holds an @ beyond its host; {_ESCAPED}")
    return parts


def shown(url: str) -> str:
    """A URL without user, password and parameters.

    >>> shown("s3://key:secret@bucket/models?token=secret")
    's3://bucket/models'
    """
    return _QUERY.sub("", _USER.sub("", url))


def scrubbed(text: str, url: str) -> str:
    """What somebody else said of a URL, without the secrets that it holds.

    >>> scrubbed("cannot reach ftp://me:s%2Ft@host", "ftp://me:s%2Ft@host/models")
    'cannot reach ftp://…@host'
    """
    secrets = {url, *_USER.findall(url), *_QUERY.findall(url)}
    for user in _USER.findall(url):
        secrets |= {part for part in user.rstrip("@").split(":", 1)[1:] if part}
    for secret in sorted(secrets | {unquote(s) for s in secrets}, key=len)[::-1]:
        mark = "…@" if secret.endswith("@") else "…"
        text = text.replace(secret, shown(url) if secret == url else mark)
    return text
