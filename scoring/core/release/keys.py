"""The keys of the topic `control`: what a record of it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scoring.core.release.policy_release import POLICY_KEY

_VERSION = "[0-9a-f]{16}"
_NAME = "[a-z][a-z0-9_]{0,63}"
_CHUNK = "[A-Za-z0-9._-]{1,100}"
_KEY = re.compile(
    rf"{POLICY_KEY}|{POLICY_KEY}/(?P<version>{_VERSION})"
    rf"|list/(?P<list>{_NAME})(/chunk/(?P<chunk>{_CHUNK})|/change/(?P<change>\d{{1,20}}))?"
)


@dataclass(frozen=True, slots=True)
class ControlKey:
    """What a record is about: the release, a policy's text, or a part of a list."""

    version: str = ""
    list: str = ""
    chunk: str = ""
    change: int | None = None


def key_of_list(name: str) -> str:
    """The key of a list's base."""
    return f"list/{name}"


def key_of_chunk(name: str, chunk: str) -> str:
    """The key of a chunk of a list's base."""
    return f"list/{name}/chunk/{chunk}"


def key_of_change(name: str, revision: int) -> str:
    """The key of a change to a list."""
    return f"list/{name}/change/{revision}"


def control_key(key: str) -> ControlKey | None:
    """What a key says; None for one that this release does not know.

    >>> control_key("list/stolen/change/7")
    ControlKey(version='', list='stolen', chunk='', change=7)
    >>> control_key("policy"), control_key("policy/../../etc")
    (ControlKey(version='', list='', chunk='', change=None), None)
    """
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    change = found["change"]
    return ControlKey(
        found["version"] or "",
        found["list"] or "",
        found["chunk"] or "",
        None if change is None else int(change),
    )
