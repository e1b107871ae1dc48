"""Managed lists as JSON: a base's manifest, a change, and a state kept on disk.

Whatever decides is read strictly: a value of another shape is a `CorruptState` that
names the field, and nothing of it is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from scoring.core.release.list_release import (
    FOREVER_MS,
    ListBase,
    ListChange,
    ListEntry,
)
from scoring.errors import CorruptState
from scoring.wire.control_json import compact, parsed, required

_HASH = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CHUNK = re.compile(r"[A-Za-z0-9_-]{1,100}")
_NUMBER_MAX = 2**63 - 1


def list_base_to_json(base: ListBase) -> bytes:
    """The value under `list/<name>`; equal bases give equal bytes.

    >>> list_base_to_json(ListBase("stolen", 7, ("a", "b"), 70_000))
    b'{"list":"stolen","revision":7,"base":["a","b"],"count":70000}'
    """
    return compact(_base_object(base))


def list_base_from_json(value: bytes) -> ListBase:
    """Read one; raises `CorruptState`.

    >>> list_base_from_json(b'{"list":"stolen","revision":7,"base":[],"count":1}')
    Traceback (most recent call last):
    scoring.errors.CorruptState: count: is 1, but there are no chunks
    """
    return _base(parsed(value))


def list_change_to_json(change: ListChange) -> bytes:
    """The value under `list/<name>/change/<revision>`."""
    return compact(_change_object(change))


def list_change_from_json(value: bytes) -> ListChange:
    """Read one; raises `CorruptState`.

    >>> entry = ListEntry("00000000000000ff", 0)
    >>> change = ListChange("stolen", 8, (entry,))
    >>> list_change_from_json(list_change_to_json(change)) == change
    True
    """
    return _change(parsed(value))


def state_to_json(base: ListBase, changes: Sequence[ListChange]) -> bytes:
    """A list's base and the changes after it, in order."""
    told = [_change_object(change) for change in changes]
    return compact({"base": _base_object(base), "changes": told})


def state_from_json(value: bytes) -> tuple[ListBase, tuple[ListChange, ...]]:
    """Read one; raises `CorruptState`."""
    read = parsed(value)
    base = _base(required(read, "base", dict))
    changes = required(read, "changes", list)
    return base, tuple(_change(change) for change in changes)


def _base_object(base: ListBase) -> dict[str, Any]:
    return {
        "list": base.list,
        "revision": base.revision,
        "base": list(base.base),
        "count": base.count,
    }


def _change_object(change: ListChange) -> dict[str, Any]:
    return {
        "list": change.list,
        "revision": change.revision,
        "entries": [{"hash": e.hash, "until_ms": e.until_ms} for e in change.entries],
    }


def _base(read: Any) -> ListBase:
    _known(read, {"list", "revision", "base", "count"})
    chunks = required(read, "base", list)
    if not all(isinstance(each, str) and _CHUNK.fullmatch(each) for each in chunks):
        raise CorruptState("base: must hold the names of chunks")
    count = _number(read, "count")
    if bool(count) != bool(chunks):
        told = "there are no chunks" if count else "there are chunks"
        raise CorruptState(f"count: is {count}, but {told}")
    revision = _number(read, "revision")
    return ListBase(_list_name(read), revision, tuple(chunks), count)


def _change(read: Any) -> ListChange:
    _known(read, {"list", "revision", "entries"})
    entries = required(read, "entries", list)
    return ListChange(
        _list_name(read),
        _number(read, "revision"),
        tuple(_entry(each) for each in entries),
    )


def _entry(read: Any) -> ListEntry:
    _known(read, {"hash", "until_ms"})
    hashed = required(read, "hash", str)
    if not _HASH.fullmatch(hashed):
        raise CorruptState("entries.hash: must be 16 hexadecimal digits")
    until_ms = _number(read, "until_ms")
    if until_ms > FOREVER_MS:
        raise CorruptState(f"entries.until_ms: is beyond {FOREVER_MS}")
    return ListEntry(hashed, until_ms)


def _known(read: Any, known: set[str]) -> None:
    if not isinstance(read, dict) or read.keys() != known:
        raise CorruptState(f"must have {', '.join(sorted(known))}, and no more")


def _list_name(read: dict[str, Any]) -> str:
    value = required(read, "list", str)
    if not _NAME.fullmatch(value):
        raise CorruptState("list: is not the name of a list")
    return value


def _number(read: dict[str, Any], field: str) -> int:
    value = read.get(field)
    if type(value) is not int or not 0 <= value <= _NUMBER_MAX:
        raise CorruptState(f"{field}: must be a whole number")
    return value
