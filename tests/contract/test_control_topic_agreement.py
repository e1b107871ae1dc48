"""A database that is older than the topic, on each engine: what becomes of it all."""

from __future__ import annotations

import pytest
from control_parts import ANN, EVE, ControlBench
from token_list_parts import WHO
from topic_parts import WHY, Plane, Reader, Topic

from scoring.control.database.relaying import RelayedOutbox
from scoring.control.desks.list_desk import EntryWish, ListDesk
from scoring.control.desks.releasing import unknown_release
from scoring.control.desks.topic_agreement import agree
from scoring.control.domain.people import By

NOW_MS = 1_800_000_000_000
AGAIN, LISTED = (EntryWish(token=token) for token in "az")


@pytest.fixture
def topic(tmp_path):
    """What a control plane has published that nobody here knows."""
    plane = Plane(tmp_path / "lost.db", Topic(), tmp_path)
    for n in (1, 2, 3):
        plane.release(n)
    for token in "abc":
        plane.put("stolen", token)
    plane.put("elsewhere", "d")
    plane.relay()
    plane.database.close()
    return plane.topic


@pytest.fixture
def bench(control_database):
    return ControlBench(control_database)


def relayed(bench, topic):
    agree(bench.database, topic.held(), NOW_MS)
    rows = RelayedOutbox(bench.database)
    waiting = rows.unpublished(count_max=1_000)
    topic.append(waiting)
    rows.published([each.sequence for each in waiting], at_ms=NOW_MS)


def test_the_next_release_is_above_every_one_that_the_topic_has_shown(bench, topic):
    relayed(bench, topic)
    assert bench.released(9).release.release == 4
    relayed(bench, topic)
    sequences = [int(each.headers[0][1]) for each in topic.records]
    assert sequences == sorted(set(sequences))


def test_what_waited_follows_under_new_numbers_with_its_approval(bench, topic):
    assert bench.released(8).release.release == 1
    assert bench.released(9).release.release == 2
    relayed(bench, topic)
    with bench.desk.read(EVE) as work:
        assert [each.number for each in work.policies.releases()] == [5, 4]
        assert sorted(p.used_by for p in work.policies.proposals()) == [4, 5]
        assert (
            work.policies.in_force().version
            == bench.desk._texts.checked(work.policies.policy(2).checked.text).version
        )
    numbers = [value.split(b",")[0] for value in topic.releases()]
    assert numbers == [b'{"release":%d' % n for n in (1, 2, 3, 4, 5)]


def test_a_release_of_the_topic_stays_known_as_unknown_until_the_next(bench, topic):
    relayed(bench, topic)
    with bench.desk.read(EVE) as work:
        assert unknown_release(work).release == 3
        assert work.policies.in_force() is None
    bench.released(9)
    with bench.desk.read(EVE) as work:
        assert unknown_release(work) is None


def test_it_is_told_in_the_audit_and_the_log_once(bench, topic, caplog):
    ListDesk(bench.database, bench.clock).create(
        WHO, "stolen", kind="block", field="card"
    )
    for _ in range(3):
        relayed(bench, topic)
    entries = [each for each in bench.audit() if each.action == "control.restored"]
    assert len(entries) == 1
    assert '"release_of_the_topic": 3' in entries[0].after
    assert '"lists_published": ["stolen"]' in entries[0].after
    assert '"lists_unknown": ["elsewhere"]' in entries[0].after
    assert entries[0].person == "the control plane"
    said = [
        each.getMessage() for each in caplog.records if each.levelname == "CRITICAL"
    ]
    assert len(said) == 1
    assert "release 3" in said[0]


def test_lists_become_what_the_database_has_and_leave_no_rest(bench, topic, tmp_path):
    reader = Reader(tmp_path / "lists")
    reader.read(topic)
    desk = ListDesk(bench.database, bench.clock)
    desk.create(WHO, "stolen", kind="block", field="card")
    desk.put(WHO, "stolen", LISTED)
    relayed(bench, topic)
    reader.read(topic)
    entries = reader.entries("abcdz")
    assert len(entries["stolen"]) == 1
    assert len(entries["elsewhere"]) == 1
    held = topic.held()
    assert len(held.lists["stolen"].parts) == 1
    desk.put(WHO, "stolen", AGAIN)
    relayed(bench, topic)
    reader.read(topic)
    assert len(reader.entries("abcdz")["stolen"]) == 2


def test_what_a_killed_relay_sent_and_did_not_mark_is_no_restored_database(bench):
    topic = Topic()
    bench.released(1)
    topic.append(RelayedOutbox(bench.database).unpublished(count_max=1_000))
    before = bench.outbox()
    agree(bench.database, topic.held(), NOW_MS)
    assert bench.outbox() == before


def test_a_topic_that_was_made_again_gets_texts_release_and_lists_anew(
    bench, tmp_path, caplog
):
    topic = Topic()
    bench.released(1)
    bench.released(2)
    desk = ListDesk(bench.database, bench.clock)
    desk.create(WHO, "stolen", kind="block", field="card")
    desk.put(WHO, "stolen", AGAIN)
    relayed(bench, topic)
    old = Reader(tmp_path / "old")
    old.read(topic)
    topic.records.clear()
    relayed(bench, topic)
    relayed(bench, topic)
    new = Reader(tmp_path / "new")
    for each in (old, new):
        each.read(topic)
        assert each.release.release == 2
        assert len(each.entries("a")["stolen"]) == 1
    texts = [each for each in topic.records if each.key.startswith(b"policy/")]
    assert len(texts) == 2
    assert caplog.text.count("has lost what it held") == 1


def test_whoever_may_roll_back_repeats_what_is_in_force_under_a_new_number(bench):
    bench.released(1)
    bench.desk.rearm(By(ANN, "mended"), "*")
    again = bench.desk.republish(WHY)
    assert again.release.release == 3
    assert (
        again.release.policy
        == bench.desk._texts.checked(again.policy.checked.text).version
    )
    assert list(again.release.rearmed) == ["*"]
    assert bench.audit()[-1].action == "policy.republish"
