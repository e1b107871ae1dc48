"""What control plane and data plane tell each other: JSON, and the headers beside it.

A reader passes over what it does not know; what decides otherwise than it can read
raises `format`. A value that lacks what it needs, or has it of another kind, is a
`CorruptState` that names the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, TypeVar

from scoring.core.release.policy_release import CandidateArm, PolicyRelease, PolicyText
from scoring.core.release.replica import ReplicaReport, Trip
from scoring.errors import CorruptState

T = TypeVar("T")
_FORMAT = 1  # of a release; not written while it is the first
_SEQUENCE, _SHA256 = "sequence", "sha256"
_SEQUENCE_MAX = 2**64 - 1
_NUMBER = re.compile(rb"[0-9]{1,20}")
_DIGEST = re.compile(rb"[0-9a-f]{64}")


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
    if (written := _optional(read, "format", _FORMAT)) > _FORMAT:
        raise CorruptState(f"format: {written} is of a later release of the service")
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


def report_to_json(report: ReplicaReport) -> bytes:
    """What a replica says of itself, as the topic `control.replicas` holds it."""
    return compact(asdict(report))


def report_from_json(value: bytes) -> ReplicaReport:
    """A replica's report; raises `CorruptState`."""
    read = parsed(value)
    candidate = read.get("candidate")
    return ReplicaReport(
        replica=required(read, "replica", str),
        door=_optional(read, "door", ""),
        process=_optional(read, "process", 0),
        started_at_ms=_optional(read, "started_at_ms", 0),
        at_ms=required(read, "at_ms", int),
        policy=required(read, "policy", str),
        candidate=None if candidate is None else required(read, "candidate", str),
        release=_optional(read, "release", 0),
        list_revision=_optional(read, "list_revision", 0),
        refused=_optional(read, "refused", ""),
        tripped=tuple(map(_trip, _values(read, "tripped"))),
        ended=_optional(read, "ended", False),
    )


def _trip(read: Any) -> Trip:
    if not isinstance(read, dict):
        raise CorruptState("tripped: must hold objects")
    return Trip(
        required(read, "policy", str),
        required(read, "rule", str),
        required(read, "at_ms", int),
        required(read, "declines", int),
        required(read, "decisions", int),
        float(required(read, "share", float, int)),
    )


@dataclass(frozen=True, slots=True)
class Seal:
    """The headers of a record: its place in the outbox, and the hash of its value."""

    sequence: int
    sha256: bytes

    def holds(self, value: bytes | None) -> bool:
        """Whether a value is the one that was sealed; of a tombstone, no bytes."""
        return sha256(value or b"").digest() == self.sha256


def sealing(sequence: int, value: bytes | None) -> list[tuple[str, bytes]]:
    """The headers of a record of the topic `control`.

    >>> sealing(7, b"{}")[0]
    ('sequence', b'7')
    """
    digest = sha256(value or b"").hexdigest()
    return [(_SEQUENCE, str(sequence).encode()), (_SHA256, digest.encode())]


def seal_of(headers: Sequence[tuple[str, bytes]]) -> Seal:
    """Read the headers; raises `CorruptState`."""
    found = dict(headers)
    sequence = _NUMBER.fullmatch(found.get(_SEQUENCE) or b"")
    digest = _DIGEST.fullmatch(found.get(_SHA256) or b"")
    if sequence is None or int(sequence[0]) > _SEQUENCE_MAX:
        raise CorruptState(f"header {_SEQUENCE}: must be a number of 64 bits")
    if digest is None:
        raise CorruptState(f"header {_SHA256}: must be 64 hexadecimal digits")
    return Seal(int(sequence[0]), bytes.fromhex(digest[0].decode()))


def compact(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, without blanks, in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def parsed(value: bytes) -> dict[str, Any]:
    """A JSON object; raises `CorruptState`."""
    try:
        read = json.loads(value)
        if b"\\u" in value:  # half a character can be written, but not encoded again
            json.dumps(read, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise CorruptState(f"is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise CorruptState("is not a JSON object")
    return read


def required(read: Mapping[str, Any], field: str, *kinds: type[T]) -> T:
    """A field of one of these kinds, a number of at most 64 bits.

    Raises `CorruptState`.

    >>> required({"release": 3}, "release", int)
    3
    """
    value = read.get(field)
    if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds):
        if isinstance(value, int) and abs(value) > _SEQUENCE_MAX:
            raise CorruptState(f"{field}: is a number of more than 64 bits")
        return value
    raise CorruptState(f"{field}: must be {' or '.join(k.__name__ for k in kinds)}")


def _optional(read: Mapping[str, Any], field: str, absent: T) -> T:
    return required(read, field, type(absent)) if field in read else absent


def _values(read: Mapping[str, Any], field: str) -> list[Any]:
    return _optional(read, field, [])


def _texts(read: Mapping[str, Any], field: str) -> list[str]:
    values = _values(read, field)
    if not all(isinstance(each, str) for each in values):
        raise CorruptState(f"{field}: must hold texts")
    return values
