"""What the topic `control` holds, as JSON; a reader passes over what it does not know.

A value that lacks what it needs, or has it of another kind, is a `CorruptState` that
names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from scoring.core.release.policy_release import CandidateArm, PolicyRelease, PolicyText
from scoring.errors import CorruptState

T = TypeVar("T")


def release_to_json(release: PolicyRelease) -> bytes:
    """The value under `policy`; equal releases give equal bytes."""
    arm = release.candidate
    return compact(
        {
            "release": release.release,
            "policy": release.policy,
            "candidate": arm and {"policy": arm.policy, "share": arm.share},
            "shadow": list(release.shadow),
            "rearmed": dict(release.rearmed),
            "by": release.by,
            "why": release.why,
            "published_at_ms": release.published_at_ms,
            "audit": release.audit,
        }
    )


def release_from_json(value: bytes) -> PolicyRelease:
    """The release in force; raises `CorruptState`.

    >>> release_from_json(release_to_json(PolicyRelease(release=1, policy="a"))).policy
    'a'
    """
    read = parsed(value)
    arm = required(read, "candidate", dict) if read.get("candidate") else None
    try:
        candidate = arm and CandidateArm(
            required(arm, "policy", str), float(required(arm, "share", float, int))
        )
    except ValueError as error:
        raise CorruptState(f"candidate.{error}") from error
    rearmed: dict[str, Any] = _optional(read, "rearmed", {})
    return PolicyRelease(
        release=required(read, "release", int),
        policy=required(read, "policy", str),
        candidate=candidate or None,
        shadow=tuple(_texts(read, "shadow")),
        rearmed={rule: required(rearmed, rule, int) for rule in rearmed},
        by=_optional(read, "by", ""),
        why=_optional(read, "why", ""),
        published_at_ms=_optional(read, "published_at_ms", 0),
        audit=_optional(read, "audit", ""),
    )


def text_to_json(text: PolicyText) -> bytes:
    """The value under `policy/<version>`."""
    return compact(
        {"version": text.version, "text": text.text, "reasons": text.reasons}
    )


def text_from_json(value: bytes) -> PolicyText:
    """A version's text; raises `CorruptState`.

    >>> text_from_json(text_to_json(PolicyText("a", "version: 1"))).reasons is None
    True
    """
    read = parsed(value)
    reasons = read.get("reasons")
    return PolicyText(
        required(read, "version", str),
        required(read, "text", str),
        None if reasons is None else required(read, "reasons", str),
    )


def compact(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, without blanks, in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def parsed(value: bytes) -> dict[str, Any]:
    """A JSON object; raises `CorruptState`."""
    try:
        read = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise CorruptState(f"is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise CorruptState("is not a JSON object")
    return read


def required(read: Mapping[str, Any], field: str, *kinds: type[T]) -> T:
    """A field of one of these kinds; raises `CorruptState`.

    >>> required({"release": 3}, "release", int)
    3
    """
    value = read.get(field)
    if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds):
        return value
    raise CorruptState(f"{field}: must be {' or '.join(k.__name__ for k in kinds)}")


def _optional(read: Mapping[str, Any], field: str, absent: T) -> T:
    return required(read, field, type(absent)) if field in read else absent


def _texts(read: Mapping[str, Any], field: str) -> list[str]:
    values: list[Any] = _optional(read, field, [])
    if not all(isinstance(each, str) for each in values):
        raise CorruptState(f"{field}: must hold texts")
    return values
