"""Which process runs what: who lags, refuses or is silent is an alarm, once."""

import logging

import pytest

from scoring.control.replicas import FORGOTTEN_MS, SILENT_MS, Newest, Replicas, Standing
from scoring.core.release.replica import ReplicaReport, Trip

LAG_MS = 10_000


class MovedWallClock:
    ms = 1_000_000

    def __call__(self):
        return self.ms


@pytest.fixture
def clock():
    return MovedWallClock()


@pytest.fixture
def replicas(clock):
    return Replicas(clock, LAG_MS)


def report(replica="a", **said):
    known = {
        "door": "grpc",
        "process": 7,
        "started_at_ms": 1,
        "at_ms": 5,  # by a clock that is far off: nobody decides by it
        "policy": "6d9c6ec5a8a4f7a1",
        "release": 1,
    }
    return ReplicaReport(replica=replica, **known | said)


def standings(replicas):
    return {state.report.replica: state.standing for state in replicas.states()}


def test_a_replica_is_behind_for_a_while_and_then_lags(replicas, clock):
    replicas.newest = Newest(2, clock.ms)
    replicas.heard(report(), clock.ms)
    assert standings(replicas) == {"a": Standing.BEHIND}
    clock.ms += LAG_MS + 1
    replicas.heard(report(), clock.ms)
    assert standings(replicas) == {"a": Standing.LAGGING}
    replicas.heard(report(release=2), clock.ms)
    assert standings(replicas) == {"a": Standing.CURRENT}


def test_one_that_refused_the_newest_release_says_why(replicas, clock, caplog):
    replicas.newest = Newest(2, clock.ms)
    replicas.heard(report(refused="needs a feature that is not here"), clock.ms)
    assert standings(replicas) == {"a": Standing.REFUSING}
    replicas.watch()
    assert "needs a feature that is not here" in caplog.text


def test_one_that_reports_no_more_is_silent_and_then_forgotten(replicas, clock):
    replicas.heard(report(), clock.ms)
    clock.ms += SILENT_MS + 1
    assert standings(replicas) == {"a": Standing.SILENT}
    clock.ms += FORGOTTEN_MS
    assert standings(replicas) == {}
    replicas.heard(report(), clock.ms)
    assert standings(replicas) == {"a": Standing.CURRENT}


def test_one_that_says_that_it_ends_is_missed_by_nobody(replicas, clock):
    replicas.heard(report(), clock.ms)
    replicas.heard(report("b"), clock.ms)
    replicas.heard(report(ended=True), clock.ms)
    assert standings(replicas) == {"b": Standing.CURRENT}
    replicas.watch()
    replicas.heard(report(process=8), clock.ms)
    assert standings(replicas) == {"a": Standing.CURRENT, "b": Standing.CURRENT}


def test_since_when_a_release_runs_is_when_it_was_first_reported(replicas, clock):
    replicas.heard(report(), clock.ms)
    first = clock.ms
    clock.ms += 3_000
    replicas.heard(report(), clock.ms)
    assert [state.since_ms for state in replicas.states()] == [first]
    replicas.heard(report(release=2), clock.ms)
    assert [state.since_ms for state in replicas.states()] == [clock.ms]


def test_an_alarm_is_logged_once_and_its_end_too(replicas, clock, caplog):
    caplog.set_level(logging.WARNING)
    replicas.newest = Newest(2, clock.ms - LAG_MS - 1)
    replicas.heard(report(), clock.ms)
    for _ in range(3):
        replicas.watch()
    replicas.heard(report(release=2), clock.ms)
    for _ in range(3):
        replicas.watch()
    assert [record.getMessage() for record in caplog.records] == [
        "replica a is lagging: it runs release 1, and 2 is newest",
        "replica a runs release 2",
    ]


def test_all_are_counted_by_standing_for_the_metric(replicas, clock):
    replicas.heard(report("a"), clock.ms)
    replicas.heard(report("b"), clock.ms)
    counted = replicas.counted()
    assert counted[Standing.CURRENT] == 2
    assert set(counted) == set(Standing)


def test_two_processes_of_one_name_are_two_and_the_one_that_lags_is_seen(
    replicas, clock
):
    replicas.newest = Newest(2, clock.ms - LAG_MS - 1)
    replicas.heard(report("vm/stream", process=1, release=2), clock.ms)
    replicas.heard(report("vm/stream", process=2, release=1), clock.ms)
    counted = replicas.counted()
    assert (counted[Standing.CURRENT], counted[Standing.LAGGING]) == (1, 1)


def test_what_the_breaker_stopped_is_one_trip_however_many_replicas_tell_of_it(
    replicas, clock
):
    trip = Trip("6d9c6ec5a8a4f7a1", "velocity", 5, 50, 60, 0.8)
    for name in ("a", "b"):
        replicas.heard(report(replica=name, tripped=(trip,)), clock.ms)
    assert replicas.trips == {trip}
    for name in ("a", "b"):
        replicas.heard(report(replica=name), clock.ms)
    assert replicas.trips == set()
