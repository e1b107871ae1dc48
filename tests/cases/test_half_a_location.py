"""Half a location is refused, wherever it comes from; a 0 that is said is a place.

Only what a service of an earlier release wrote lacks its zeros: there they are read.
"""

import pytest
from google.protobuf import json_format
from grpc_parts import open_door, payment, request, status_of

from scoring import wire
from scoring.core.transaction.transaction import Transaction, payload_hash, validate
from scoring.errors import InvalidTransaction
from scoring.history.rows import decision_row
from scoring.v1 import decision_pb2, transaction_pb2
from scoring.v1.transaction_pb2 import Location
from scoring.wire.stored_decisions import payment_of, recorded_to_bytes

HALVES = [
    (Location(latitude=51.5), "location.longitude"),
    (Location(latitude=0), "location.longitude"),
    (Location(longitude=-0.1), "location.latitude"),
    (Location(longitude=0), "location.latitude"),
]
WHOLE = [(51.5, 0.0), (0.0, -0.1), (0.0, 0.0), (-33.5, 151.2)]


@pytest.fixture
async def door(model_dir):
    async with open_door(model_dir) as door:
        yield door


@pytest.mark.parametrize(("half", "missing"), HALVES)
async def test_half_a_location_is_refused_and_says_what_to_do(door, half, missing):
    code, field, message = await status_of(door.check(payment(location=half)))
    assert (code.name, field) == ("INVALID_ARGUMENT", missing)
    assert message.endswith(
        "half a location is none: send latitude and longitude, a 0 too, or no location"
    )


@pytest.mark.parametrize("place", WHOLE)
async def test_a_location_of_zeros_is_a_place(door, place):
    sent = payment(location=Location(latitude=place[0], longitude=place[1]))
    decided = await door.check(sent)
    assert decided.core.payload_hash == payload_hash(wire.transaction_from_proto(sent))
    assert decided.core.payload_hash != payload_hash(but(sent, None, None))


async def test_a_location_that_says_nothing_was_left_out(door):
    empty, none = payment("t-empty", location=Location()), payment("t-empty")
    none.occurred_at.CopyFrom(empty.occurred_at)
    raw = [request(one).SerializeToString() for one in (empty, none)]
    check = door.raw("CheckTransaction")
    assert await check(raw[0], timeout=5) == await check(raw[1], timeout=5)


def but(message, latitude, longitude):
    made = wire.transaction_from_proto(message)
    own = {name: getattr(made, name) for name in Transaction.__slots__}
    return Transaction(**{**own, "latitude": latitude, "longitude": longitude})


@pytest.mark.parametrize(("half", "missing"), HALVES)
def test_half_a_location_is_half_in_json_and_with_a_null(half, missing):
    said = json_format.MessageToDict(payment(location=half))
    nulled = {**said, "location": {"latitude": None, "longitude": None}}
    nulled["location"] |= said["location"]
    for one in (said, nulled):
        message = json_format.ParseDict(one, transaction_pb2.Transaction())
        with pytest.raises(InvalidTransaction) as refused:
            validate(wire.transaction_from_proto(message))
        assert refused.value.field == missing


@pytest.mark.parametrize("place", WHOLE)
def test_a_whole_location_keeps_its_hash_in_json(place):
    sent = payment(location=Location(latitude=place[0], longitude=place[1]))
    text = json_format.MessageToJson(sent).encode()
    read = wire.transaction_from_bytes(text, content_type=wire.JSON)
    assert read == wire.transaction_from_proto(sent)
    assert (read.latitude, read.longitude) == place


# What an earlier release wrote --------------------------------------------------


def without_zeros(location):
    """The bytes of a location by an earlier release: a 0 was not written."""
    for name in ("latitude", "longitude"):
        if not getattr(location, name):
            location.ClearField(name)


@pytest.mark.parametrize("place", WHOLE)
def test_a_decision_of_an_earlier_release_keeps_its_zeros(place):
    sent = payment("t-old", location=Location(latitude=place[0], longitude=place[1]))
    accepted = wire.transaction_from_proto(sent)
    logged = decision_pb2.Decision(transaction=sent)
    logged.core.payload_hash = payload_hash(accepted)
    without_zeros(logged.transaction.location)
    read = wire.accepted_from_proto(
        decision_pb2.Decision.FromString(logged.SerializeToString()).transaction
    )
    assert payload_hash(read) == logged.core.payload_hash
    row = decision_row(Record(logged.SerializeToString()))
    assert (row["latitude"], row["longitude"]) == place


STORED = {
    (
        51.5,
        0.0,
    ): "1a1c2a0608c08687af0630f4033a034555529a0109090000000000c049407d230000f1",
    (
        0.0,
        -0.1,
    ): "1a1c2a0608c08687af0630f4033a034555529a0109119a9999999999b9bf7d230000f1",
    (0.0, 0.0): "1a132a0608c08687af0630f4033a034555529a01007d1a0000f1",
}


@pytest.mark.parametrize("place", STORED)
def test_a_stored_payment_of_an_earlier_release_keeps_its_zeros(place):
    kept = payment_of(bytes.fromhex(STORED[place]), tenant="default", id_="t1")
    assert (kept.latitude, kept.longitude) == place
    assert payment_of(recorded_to_bytes(b"", kept), tenant="default", id_="t1") == kept


class Record:
    """A record of the decisions topic."""

    headers, partition, offset, timestamp = (), 0, 0, 0

    def __init__(self, value):
        self.value = value
