"""What the breaker stopped, in the audit of each engine."""

import json
from dataclasses import replace

import pytest
from control_parts import EVE, Clock

from scoring.control.database.database import Database
from scoring.control.desks.audit_desk import AuditDesk
from scoring.control.desks.trip_desk import TripDesk
from scoring.core.release.replica import Trip

TRIP = Trip("0123456789abcdef", "velocity", 5_000, 50, 60, 50 / 60)


@pytest.fixture
def desk(control_database):
    return TripDesk(control_database, Clock())


def recorded(database):
    entries = AuditDesk(database).entries(EVE, action="policy.trip")
    return [json.loads(each.after) for each in entries]


def test_a_trip_is_in_the_audit_with_its_counts_and_when_it_was(desk, control_database):
    desk.record([TRIP])
    (entry,) = AuditDesk(control_database).entries(EVE, action="policy.trip")
    assert entry.subject == f"version {TRIP.policy}"
    assert (entry.person, entry.origin) == ("the breaker", "reported by replicas")
    assert Trip(**json.loads(entry.after)) == TRIP


def test_a_trip_that_every_replica_repeats_to_every_copy_is_recorded_once(
    desk, control_database
):
    other = Database(str(control_database.url.render_as_string(hide_password=False)))
    copies = [desk, TripDesk(other, Clock()), TripDesk(control_database, Clock())]
    for _ in range(3):
        for copy in copies:
            copy.record([TRIP, TRIP])
    other.close()
    assert len(recorded(control_database)) == 1
    assert AuditDesk(control_database).verify(EVE).problems == ()


@pytest.mark.parametrize(
    "another", [{"at_ms": 9_000}, {"rule": "amount"}, {"policy": "f" * 16}]
)
def test_another_trip_is_recorded_too(desk, control_database, another):
    desk.record([TRIP])
    desk.record([TRIP, replace(TRIP, **another)])
    assert len(recorded(control_database)) == 2
