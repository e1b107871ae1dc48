"""The audit: entries that are only ever added, each with the hash of the one before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any

from scoring.control.domain.people import Doing

GENESIS = "0" * 64  # what the first entry follows
PROBLEMS_MAX = 100  # a rewritten past would otherwise be listed entry by entry
Written = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done: to what, from what, to what."""

    action: str
    subject: str
    before: Written = None
    after: Written = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry; `before` and `after` are JSON, empty where there is nothing."""

    sequence: int
    at_ms: int
    person: str
    origin: str
    action: str
    subject: str
    before: str
    after: str
    why: str
    previous_hash: str
    hash: str


_HASHED = tuple(each.name for each in fields(AuditEntry) if each.name != "hash")


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain: its sequence and its hash."""

    sequence: int = 0
    hash: str = GENESIS


def chained(head: Head, change: Change, doing: Doing) -> AuditEntry:
    """The entry that follows a head.

    >>> from scoring.control.domain.people import Person
    >>> doing = Doing(Person("ann", frozenset(), "shell"), 1, "as agreed")
    >>> entry = chained(Head(), Change(action="draft", subject="policy 1"), doing)
    >>> entry.sequence, entry.previous_hash == GENESIS, verified([entry])
    (1, True, [])
    """
    content: dict[str, Any] = {
        "sequence": head.sequence + 1,
        "at_ms": doing.at_ms,
        "person": doing.person.name,
        "origin": doing.person.origin,
        "action": change.action,
        "subject": change.subject,
        "before": _json(change.before),
        "after": _json(change.after),
        "why": doing.why,
        "previous_hash": head.hash,
    }
    return AuditEntry(**content, hash=_hash(content))


def entry_hash(entry: AuditEntry) -> str:
    """The hash of all that an entry says, the hash before it included."""
    return _hash({name: getattr(entry, name) for name in _HASHED})


def verified(
    entries: Iterable[AuditEntry], anchors: Mapping[int, str] | None = None
) -> list[str]:
    """What is wrong with a chain, read from its first entry; empty: nothing.

    `anchors` are hashes by sequence that are known from elsewhere, such as a release
    of the topic: they find what the chain alone cannot, a past rewritten to its end,
    and an end that was cut off.
    """
    problems: list[str] = []
    head = Head()
    left = dict(anchors or {})
    for entry in entries:
        problems += _wrong(entry, head, left.pop(entry.sequence, None))
        head = Head(entry.sequence, entry.hash)
        if len(problems) >= PROBLEMS_MAX:
            return [*problems[:PROBLEMS_MAX], "… and more; verification ended here"]
    for sequence in sorted(left):
        problems.append(
            f"entry {sequence} is known from elsewhere and missing: the chain ends at "
            f"{head.sequence}"
        )
    return problems


def _wrong(entry: AuditEntry, head: Head, anchor: str | None) -> list[str]:
    problems = []
    if entry.sequence != head.sequence + 1:
        problems.append(f"entry {entry.sequence} follows {head.sequence}: a gap")
    elif entry.previous_hash != head.hash:
        problems.append(
            f"entry {entry.sequence} does not continue entry {head.sequence}: one of "
            "them was replaced"
        )
    if entry_hash(entry) != entry.hash:
        problems.append(f"entry {entry.sequence} was changed after it was written")
    if anchor is not None and anchor != entry.hash:
        problems.append(f"entry {entry.sequence} is not the one known from elsewhere")
    return problems


def _json(written: Written) -> str:
    return "" if written is None else json.dumps(written, sort_keys=True)


def _hash(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
