"""What the topic `control` holds, read back."""

import json

import pytest

from scoring.core.release.policy_release import CandidateArm, PolicyRelease, PolicyText
from scoring.errors import CorruptState
from scoring.wire.control_json import (
    release_from_json,
    release_to_json,
    text_from_json,
    text_to_json,
)

RELEASE = PolicyRelease(
    release=17,
    policy="6d9c6ec5a8a4f7a1",
    candidate=CandidateArm("0123456789abcdef", 0.05),
    shadow=("fedcba9876543210",),
    rearmed={"card_velocity": 1_700_000_000_000},
    by="Ærla",
    why="the old one declined too much",
    published_at_ms=1_700_000_000_001,
    audit="ab" * 32,
)


@pytest.mark.parametrize(
    "release", [RELEASE, PolicyRelease(release=1, policy="6d9c6ec5a8a4f7a1")]
)
def test_a_release_is_read_as_it_was_written(release):
    assert release_from_json(release_to_json(release)) == release


@pytest.mark.parametrize("reasons", [None, "version: 1\n"])
def test_a_text_is_read_as_it_was_written(reasons):
    text = PolicyText("6d9c6ec5a8a4f7a1", "name: 'é'\n", reasons)
    assert text_from_json(text_to_json(text)) == text


def test_a_field_of_a_later_release_of_ours_is_passed_over():
    read = json.loads(release_to_json(RELEASE)) | {"later": [1]}
    assert release_from_json(json.dumps(read).encode()) == RELEASE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"release": "17"}, "release"),
        ({"release": True}, "release"),
        ({"policy": None}, "policy"),
        ({"candidate": {"policy": "a", "share": 1.5}}, "candidate.share"),
        ({"candidate": {"share": 0.5}}, "policy"),
        ({"candidate": "a"}, "candidate"),
        ({"shadow": [1]}, "shadow"),
        ({"rearmed": {"rule": "now"}}, "rule"),
    ],
)
def test_what_is_no_release_is_refused_by_field(change, field):
    read = json.loads(release_to_json(RELEASE)) | change
    with pytest.raises(CorruptState, match=f"^{field}: "):
        release_from_json(json.dumps(read).encode())


@pytest.mark.parametrize("value", [b"", b"[]", b"\xff", b"{" * 100_000])
def test_what_is_no_object_is_refused(value):
    with pytest.raises(CorruptState):
        release_from_json(value)
