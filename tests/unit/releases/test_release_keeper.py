"""What a replica takes of what it reads, and what it begins a restart with."""

from __future__ import annotations

import random
from functools import cache

import pytest
from release_parts import CATALOGUE, Outbox, Record, policy_text

from scoring.core.features.shipped_catalogues import shipped_catalogues
from scoring.core.release.policy_release import POLICY_KEY, CandidateArm
from scoring.errors import CorruptState
from scoring.releases import policy_registry
from scoring.releases.control_records import ControlIntake
from scoring.releases.policy_registry import PolicyRegistry
from scoring.releases.release_keeper import ReleaseKeeper

ANOTHER = next(c for c in shipped_catalogues() if c.version != CATALOGUE.version)


@pytest.fixture(autouse=True)
def _compiled_once(monkeypatch):
    """Compiling is pure, and takes most of a second: once for each text."""
    monkeypatch.setattr(policy_registry, "compiled", _compiled)


_compiled = cache(policy_registry.compiled)


class Replica:
    """A keeper over a directory, read to by hand."""

    def __init__(self, directory, catalogue=CATALOGUE):
        self.told = []
        registry = PolicyRegistry(directory / "policies", catalogue)
        self.keeper = ReleaseKeeper(directory / "last-good", registry, self.told.append)
        self.begun = self.keeper.open()
        self.again()

    def again(self):
        self.intake = ControlIntake(self.keeper.refuse)
        self.keeper.begin_again()

    def read(self, *records):
        self.keeper.take(self.intake.admitted(records))
        taken = self.keeper.settle()
        self.keeper.save()
        return taken

    @property
    def release(self):
        current = self.keeper.current
        return 0 if current is None else current.release.release


@pytest.fixture
def outbox():
    return Outbox()


@pytest.fixture
def replica(tmp_path):
    return Replica(tmp_path)


def test_a_release_whose_text_came_before_it_is_in_force(replica, outbox):
    taken = replica.read(*outbox.publish(1))
    assert taken.policy.version == policy_text(1).version
    assert replica.keeper.refused == ""


def test_both_arms_and_the_shadows_of_a_release_are_compiled(replica, outbox):
    texts = [outbox.text(n) for n in (1, 2, 3)]
    versions = [policy_text(n).version for n in (1, 2, 3)]
    arm = CandidateArm(versions[1], 0.25)
    release = outbox.release(1, candidate=arm, shadow=(versions[2],))
    taken = replica.read(*texts, release)
    assert taken.candidate.version == versions[1]
    assert [policy.version for policy in taken.shadows] == [versions[2]]


def test_of_releases_read_together_only_the_newest_is_compiled(replica, outbox):
    records = [record for n in range(1, 5) for record in outbox.publish(n)]
    assert replica.read(*records).release.release == 4
    assert len(replica.keeper.registry._compiled) == 1


def test_a_release_that_names_an_unknown_version_waits_for_its_text(replica, outbox):
    replica.read(*outbox.publish(1))
    text, release = outbox.publish(2)
    assert replica.read(release) is None
    assert replica.release == 1
    assert "release 2 is not taken: the text of policy" in replica.keeper.refused
    assert replica.read(text) is not None
    assert replica.release == 2
    assert replica.keeper.refused == ""


def test_what_was_refused_is_told_once_and_not_compiled_again(replica, outbox):
    _, release = outbox.publish(1)
    for _ in range(3):
        replica.read(release)
    assert len(replica.told) == 1


def test_a_release_of_other_feature_definitions_leaves_the_last_good(
    replica, outbox, tmp_path
):
    replica.read(*outbox.publish(1))
    elsewhere = Replica(tmp_path / "other", ANOTHER)
    elsewhere.read(*outbox.publish(2))
    assert elsewhere.release == 0
    assert "release 2 is not taken" in elsewhere.keeper.refused


GARBAGE = [
    Record(None, None),
    Record(b"policy", b"{}"),
    Record(b"\xff", b"\xff"),
    Record(b"policy", b"{}", (("sequence", b"9"), ("sha256", b"0" * 64))),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_and_changes_nothing(replica, outbox, garbage):
    replica.read(*outbox.publish(1))
    replica.read(garbage)
    assert replica.release == 1
    assert replica.keeper.refused
    replica.read(*outbox.publish(2))
    assert (replica.release, replica.keeper.refused) == (2, "")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"[1]", "JSON object"),
        (b'{"release": 2}', "policy: must be"),
        (b'{"release": 2, "policy": "a", "format": 2}', "later release"),
        (None, "deleted"),
        (b'{"release": 2, "policy": "\\ud800"}', "not JSON"),
        (b'{"release": 1%s, "policy": "a"}' % (b"0" * 400), "64 bits"),
        (
            b'{"release": 2, "policy": "a", "published_at_ms": 1%s}' % (b"0" * 400),
            "64 bits",
        ),
        (
            b'{"release": 2, "policy": "a", "candidate": {"policy": "b", "share": 1%s}}'
            % (b"0" * 400),
            "64 bits",
        ),
        (
            b'{"release": 2, "policy": "a", "candidate": {"policy": "", "share": NaN}}',
            "share",
        ),
    ],
)
def test_a_sealed_record_that_is_no_release_changes_nothing(
    replica, outbox, value, why
):
    replica.read(*outbox.publish(1))
    replica.read(outbox.put(POLICY_KEY, value))
    assert replica.release == 1
    assert why in replica.keeper.refused


def test_a_text_that_is_not_the_version_of_its_key_is_refused(replica, outbox):
    first = outbox.text(1)
    record = outbox.put(policy_text(2).key, first.value)
    replica.read(record, outbox.release(2))
    assert replica.release == 0
    assert replica.keeper.refused


def test_a_text_that_no_file_could_hold_is_refused(replica, outbox):
    first = policy_text(1)
    value = b'{"version": "%s", "text": "\\udfff"}' % first.version.encode()
    replica.read(outbox.put(first.key, value), outbox.release(1))
    assert replica.release == 0
    assert replica.keeper.refused
    assert replica.keeper.refused.encode()


def test_a_text_whose_tombstone_comes_is_kept(replica, outbox):
    replica.read(*outbox.publish(1))
    replica.read(outbox.put(policy_text(1).key, None))
    assert replica.keeper.registry.text(policy_text(1).version) is not None


def test_a_key_of_a_later_release_is_passed_over_in_silence(replica, outbox):
    replica.read(*outbox.publish(1), outbox.put("weather/today", b"rain"))
    assert (replica.release, replica.keeper.refused) == (1, "")


def test_an_older_sequence_is_passed_over(replica, outbox):
    first, second = outbox.publish(1), outbox.publish(2)
    replica.read(*first, *second)
    assert replica.read(*first) is None
    assert replica.release == 2


def test_a_restart_begins_with_the_last_good_release(replica, outbox, tmp_path):
    replica.read(*outbox.publish(3))
    again = Replica(tmp_path)
    assert again.begun.release.release == 3
    assert again.begun.policy.version == policy_text(3).version
    assert again.told == []


def test_an_empty_topic_does_not_undo_the_last_good(replica, outbox, tmp_path):
    replica.read(*outbox.publish(3))
    again = Replica(tmp_path)
    assert again.read() is None
    assert (again.release, again.keeper.refused) == (3, "")


def test_a_topic_with_an_older_release_only_is_told_and_changes_nothing(
    replica, outbox, tmp_path
):
    old, new = outbox.publish(1), outbox.publish(2)
    replica.read(*old, *new)
    again = Replica(tmp_path)
    again.read(*old)
    assert again.release == 2
    assert "is older than release 2" in again.keeper.refused


@pytest.mark.parametrize("cut", [0, 1, 60, 150], ids=lambda cut: f"cut at {cut}")
def test_a_damaged_last_good_is_told_and_the_topic_brings_it_again(
    replica, outbox, tmp_path, cut
):
    records = outbox.publish(1)
    replica.read(*records)
    path = tmp_path / "last-good"
    path.write_bytes(path.read_bytes()[:cut])
    again = Replica(tmp_path)
    assert again.begun is None
    assert "cannot be read" in again.keeper.refused
    again.read(*records)
    assert (again.release, again.keeper.refused) == (1, "")


def test_a_last_good_that_cannot_run_here_is_said(replica, outbox, tmp_path):
    replica.read(*outbox.publish(1))
    again = Replica(tmp_path, ANOTHER)
    assert again.begun is None
    assert "release 1" in again.keeper.unable


@pytest.fixture
def unwritable(tmp_path):
    """A directory that nobody can write to, not even root: it is a file."""
    path = tmp_path / "full"
    path.write_text("")
    return path


def test_a_state_directory_that_cannot_be_written_stops_no_release(outbox, unwritable):
    replica = Replica(unwritable)
    replica.read(*outbox.publish(1))
    replica.read(*outbox.publish(2))
    assert replica.release == 2
    assert any("keeps no release" in line for line in replica.told)
    assert any("keeps no policies" in line for line in replica.told)


def test_an_old_version_is_compiled_again_when_it_is_asked_for(replica, outbox):
    for number in range(1, 12):
        replica.read(*outbox.publish(number))
    registry = replica.keeper.registry
    assert len(registry._compiled) <= 8
    assert registry.policy(policy_text(1).version).version == policy_text(1).version


@pytest.mark.parametrize("seed", range(20))
def test_whatever_order_a_log_has_the_newest_loadable_release_is_in_force(
    seed, tmp_path
):
    """In batches, with restarts, passes from the beginning, and no releases between."""
    chance, outbox = random.Random(seed), Outbox()
    for number in range(1, 6):
        outbox.publish(number)
        if chance.random() < 0.4:
            outbox.put(POLICY_KEY, chance.choice([None, b"{}", b"garbage"]))
    replica, at, newest = Replica(tmp_path), 0, 0
    while at < len(outbox.records):
        step = chance.randint(1, 4)
        replica.read(*outbox.records[at : at + step])
        at += step
        assert replica.release >= newest
        newest = replica.release
        if chance.random() < 0.3:
            replica = Replica(tmp_path)
            assert replica.release == newest
            at = 0 if chance.random() < 0.5 else at
    replica = Replica(tmp_path)
    replica.read(*outbox.records)
    assert replica.release == 5


def test_a_damaged_record_of_a_list_is_told_by_the_list_not_the_release(
    replica, outbox
):
    replica.read(*outbox.publish(1))
    damaged = Record(b"list/stolen/change/7", b"{}", (("sequence", b"9"),))
    (record,) = replica.intake.admitted([damaged])
    assert isinstance(record.value, CorruptState)
    assert replica.keeper.refused == ""


def test_a_slower_process_does_not_overwrite_a_newer_release(outbox, tmp_path):
    slow, quick = Replica(tmp_path), Replica(tmp_path)
    first, second = outbox.publish(1), outbox.publish(2)
    slow.keeper.take(slow.intake.admitted(first))
    slow.keeper.settle()
    quick.read(*first, *second)
    slow.keeper.save()
    assert Replica(tmp_path).release == 2
