"""Managed lists on their way to the data plane: what they hold, and what changed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b, sha256

from scoring.core.transaction.event_time import OCCURRED_AT_MS_MAX

FOREVER_MS = OCCURRED_AT_MS_MAX + 1  # as core/policy/lists.py has it
REMOVED_MS = 0


def token_hash(token: str) -> int:
    """The 64 bits by which a list knows a token: BLAKE2b of its UTF-8, little-endian.

    >>> token_hash("card-1") == token_hash("card-1") < 2**64
    True
    """
    return int.from_bytes(blake2b(token.encode(), digest_size=8).digest(), "little")


def chunk_id(revision: int, number: int, content: bytes) -> str:
    """The name of a chunk: of one base alone, and of what it holds.

    >>> chunk_id(7, 0, b"")
    '7-0-e3b0c44298fc1c14'
    """
    return f"{revision}-{number}-{sha256(content).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class ListBase:
    """A list as of a revision: its chunks in order, sorted by hash; `count` entries."""

    list: str
    revision: int
    base: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A hash, 16 hexadecimal digits, and the event time until which it is listed.

    `until_ms` is `FOREVER_MS` for ever and `REMOVED_MS` for one that is off the list.
    """

    hash: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class ListChange:
    """What one revision changes in one list."""

    list: str
    revision: int
    entries: tuple[ListEntry, ...]
