"""What of the outbox may go once it is published, on each engine."""

import pytest
from control_parts import ControlBench

from scoring.control.database.relaying import RelayedOutbox
from scoring.control.database.unit_of_work import writing

OLD_MS, LIMIT_MS, YOUNG_MS = 1_000, 2_000, 3_000
CHUNK, CHANGE, TEXT, POLICY = "list/a/chunk", "list/a/change", "policy/one", "policy"


@pytest.fixture
def bench(control_database):
    return ControlBench(control_database)


@pytest.fixture
def rows(control_database):
    return RelayedOutbox(control_database)


def added(bench, *keys):
    with writing(bench.database) as work:
        return [work.outbox.add(key, b"value") for key in keys]


def kept(bench):
    with writing(bench.database) as work:
        found = [work.outbox.at(n + 1) for n in range(work.outbox.last)]
        return [each.key for each in found if each is not None]


def pruned(rows, **more):
    count = 0
    while taken := rows.prune(published_before_ms=LIMIT_MS, **more):
        count += taken
    return count


def test_texts_the_newest_release_and_the_highest_record_stay_and_the_rest_may_go(
    bench, rows
):
    sequences = added(bench, TEXT, POLICY, CHUNK, POLICY, CHANGE, CHANGE)
    rows.published(sequences, at_ms=OLD_MS)
    assert pruned(rows) == 3
    assert kept(bench) == [TEXT, POLICY, CHANGE]
    with writing(bench.database) as work:
        assert work.outbox.newest(POLICY).sequence == 4
        assert work.outbox.last_published == 6


def test_what_waits_and_what_was_published_lately_stays(bench, rows):
    sequences = added(bench, *(3 * [CHUNK]))
    rows.published(sequences[:1], at_ms=YOUNG_MS)
    assert pruned(rows) == 0
    assert len(kept(bench)) == 3


def test_a_release_that_waits_does_not_make_the_published_one_go(bench, rows):
    sequences = added(bench, POLICY, CHUNK, CHUNK, POLICY)
    rows.published(sequences[:3], at_ms=OLD_MS)
    assert pruned(rows) == 1
    assert kept(bench) == [POLICY, CHUNK, POLICY]


def test_little_goes_at_a_time(bench, rows):
    rows.published(added(bench, *(7 * [CHUNK])), at_ms=OLD_MS)
    taken = [rows.prune(published_before_ms=LIMIT_MS, count_max=4) for _ in range(3)]
    assert taken == [4, 2, 0]


def test_a_topic_that_was_lost_is_still_told_everything_after_a_pruning(bench, rows):
    bench.released(1)
    bench.released(2)
    waiting = rows.unpublished(count_max=100)
    rows.published([each.sequence for each in waiting], at_ms=OLD_MS)
    assert pruned(rows) == 1
    with writing(bench.database) as work:
        work.outbox.withdraw()
    again = [each.key for each in rows.unpublished(count_max=100)]
    assert sorted(again) == sorted({each.key for each in waiting})
