"""What the topic `control` holds, read back."""

import json
from hashlib import sha256

import pytest

from scoring.core.release.keys import (
    control_key,
    key_of_change,
    key_of_chunk,
    key_of_list,
)
from scoring.core.release.policy_release import CandidateArm, PolicyRelease, PolicyText
from scoring.core.release.replica import ReplicaReport, Trip
from scoring.errors import CorruptState
from scoring.wire.control_json import (
    release_from_json,
    release_to_json,
    report_from_json,
    report_to_json,
    seal_of,
    sealing,
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


def test_a_release_of_a_later_format_is_refused():
    read = json.loads(release_to_json(RELEASE)) | {"format": 2}
    with pytest.raises(CorruptState, match=r"^format: 2 is of a later release"):
        release_from_json(json.dumps(read).encode())


REPORT = ReplicaReport(
    replica="pod-1/7",
    door="grpc",
    process=7,
    started_at_ms=1,
    at_ms=2,
    policy="6d9c6ec5a8a4f7a1",
    candidate="0123456789abcdef",
    release=17,
    list_revision=4,
    refused="no",
    tripped=(Trip("6d9c6ec5a8a4f7a1", "rule", 3, 50, 60, 0.8),),
    ended=True,
)


def test_a_report_is_read_as_it_was_written():
    assert report_from_json(report_to_json(REPORT)) == REPORT


@pytest.mark.parametrize(
    ("change", "field"),
    [({"policy": 1}, "policy"), ({"tripped": [1]}, "tripped"), ({"at_ms": "2"}, "at")],
)
def test_what_is_no_report_is_refused_by_field(change, field):
    read = json.loads(report_to_json(REPORT)) | change
    with pytest.raises(CorruptState, match=f"^{field}"):
        report_from_json(json.dumps(read).encode())


def test_a_seal_holds_the_value_that_it_was_made_for_and_no_other():
    seal = seal_of(sealing(2**64 - 1, b"value"))
    assert seal.sequence == 2**64 - 1
    assert seal.holds(b"value")
    assert not seal.holds(b"valuf")
    assert seal_of(sealing(1, None)).holds(None)


DIGEST = sha256(b"").hexdigest().encode()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("sequence", b"1")],
        [("sequence", b"-1"), ("sha256", DIGEST)],
        [("sequence", b"1.5"), ("sha256", DIGEST)],
        [("sequence", None), ("sha256", DIGEST)],
        [("sequence", str(2**64).encode()), ("sha256", DIGEST)],
        [("sequence", b"1"), ("sha256", DIGEST[:-1])],
        [("sequence", b"1"), ("sha256", b"\xff" * 64)],
    ],
)
def test_a_record_without_its_headers_is_refused(headers):
    with pytest.raises(CorruptState, match=r"^header"):
        seal_of(headers)


def test_every_key_that_is_written_is_read():
    version = "6d9c6ec5a8a4f7a1"
    assert control_key("policy").version == ""
    assert control_key(PolicyText(version, "").key).version == version
    assert control_key(key_of_list("stolen")).list == "stolen"
    assert control_key(key_of_chunk("stolen", "0-1")).chunk == "0-1"
    assert control_key(key_of_change("stolen", 8)).change == 8


@pytest.mark.parametrize(
    "key", ["", "policies", "policy/", "policy/../x", "list/", "list/A", "list/a/b/c"]
)
def test_a_key_that_is_not_known_is_none(key):
    assert control_key(key) is None
