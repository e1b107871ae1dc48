"""One field under both of its JSON names is refused like a name written twice."""

import itertools
import json

import pytest

from scoring import wire
from scoring.errors import InvalidTransaction
from scoring.v1 import decision_pb2, transaction_pb2
from scoring.wire.json_text import message_from_json

GOOD = {
    "id": "x",
    "occurredAt": "2024-03-01T00:00:00Z",
    "amountMinor": "100",
    "currency": "EUR",
}


PLACE = "location.latitude"


def refusal(body, kind=transaction_pb2.Transaction) -> InvalidTransaction:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidTransaction) as raised:
        wire.message_from_bytes(raw, kind, wire.JSON)
    return raised.value


@pytest.mark.parametrize("order", [1, -1])
def test_two_amounts_are_refused_in_either_order(order):
    body = dict(list((GOOD | {"amount_minor": "999900"}).items())[::order])
    assert refusal(body).field == "amount_minor"


def test_two_equal_amounts_and_a_null_beside_an_amount_are_refused_too():
    assert refusal(GOOD | {"amount_minor": "100"}).field == "amount_minor"
    assert refusal(GOOD | {"amount_minor": None}).field == "amount_minor"


def test_a_name_written_twice_is_named():
    assert refusal(b'{"id": "x", "id": "y"}').field == "id"
    assert refusal(b'{"location": {"latitude": 1, "latitude": 2}}').field == PLACE


def test_each_field_of_each_message_that_we_read_is_refused_under_two_names():
    """Whatever the contract gains: found by its descriptors."""
    kinds = (
        transaction_pb2.Transaction,
        transaction_pb2.Label,
        transaction_pb2.DeadLetter,
        decision_pb2.Decision,
    )
    tried = 0
    for kind in kinds:
        for path in paths(kind.DESCRIPTOR):
            body = said_twice(path)
            assert refusal(body, kind).field == ".".join(f.name for f in path)
            tried += 1
    assert tried > 30


def paths(descriptor, above=()):
    """The way to each field that has two names, through messages and lists."""
    for field in descriptor.fields:
        if field.json_name != field.name:
            yield (*above, field)
        within = field.message_type
        entry = within is not None and within.GetOptions().map_entry
        if within is not None and not entry and within not in parents(above):
            yield from paths(within, (*above, field))


def parents(above):
    return [field.containing_type for field in above]


def said_twice(path):
    *above, last = path
    body = {last.name: None, last.json_name: None}
    for field in reversed(above):
        body = {field.json_name: [body] if field.is_repeated else body}
    return body


def test_what_a_map_holds_is_the_senders_own_and_may_be_named_alike():
    body = GOOD | {"attributes": {"amountMinor": "1", "amount_minor": "2"}}
    read = message_from_json(json.dumps(body).encode(), transaction_pb2.Transaction)
    assert dict(read.attributes) == body["attributes"]


def test_either_name_alone_is_taken():
    other = {"amount_minor" if k == "amountMinor" else k: v for k, v in GOOD.items()}
    first, second = (
        wire.transaction_from_bytes(json.dumps(body).encode(), content_type=wire.JSON)
        for body in (GOOD, other)
    )
    assert first == second


def test_a_byte_order_mark_before_the_json_means_nothing():
    raw = json.dumps(GOOD).encode()
    plain, marked = (
        wire.transaction_from_bytes(mark + raw, content_type=wire.JSON)
        for mark in (b"", b"\xef\xbb\xbf")
    )
    assert plain == marked


WRONG = [
    ("occurredAt", "2024-03-01 00:00:00", "a time such as"),
    ("occurredAt", 1_700_000_000_000, "a time such as"),
    ("amountMinor", 49.99, "a whole number"),
    ("amountMinor", True, "a whole number"),
    ("amountMinor", "49,99", "a whole number"),
    ("channel", "ecommerce", "CHANNEL_ECOMMERCE"),
    ("merchantCategory", 5732, "a text in quotes"),
    ("location", "here", "an object"),
]


@pytest.mark.parametrize(("field", "value", "right"), WRONG)
def test_a_refusal_tells_how_the_field_is_written(field, value, right):
    told = refusal(GOOD | {field: value})
    named = {
        one.json_name: one.name for one in transaction_pb2.Transaction.DESCRIPTOR.fields
    }
    assert told.field == named[field]
    assert right in told.message


@pytest.mark.parametrize(
    ("kind", "body", "field", "right"),
    [
        ("Transaction", {"location": {"latitude": "x"}}, "location.latitude", "number"),
        ("Transaction", {"location": {"lat": 1}}, "location.lat", "v1.Location"),
        (
            "Label",
            {"transaction": {"amountMinor": 4.5}},
            "transaction.amount_minor",
            "whole",
        ),
        ("Label", {"transaction": {"card": 1}}, "transaction.card", "a text in quotes"),
    ],
)
def test_a_refusal_names_the_way_to_a_field_within(kind, body, field, right):
    with pytest.raises(InvalidTransaction) as refused:
        message_from_json(json.dumps(body).encode(), getattr(transaction_pb2, kind))
    assert refused.value.field == field
    assert right in refused.value.message


def test_whatever_json_there_is_ends_as_a_message_or_a_refusal():
    odd = (
        b"", b"[]", b"1", b"null", b"{", b'{"id"', b"\xff\xfe", b"{}{}", b"NaN",
        b"[" * 100_000, b'{"a":' * 100_000, b'{"amountMinor":' + b"9" * 5_000 + b"}",
        b'{"id":"\\ud800"}', b'{"location":[]}', b'{"attributes":{"a":{}}}',
        b'{"' + b"x" * 100_000 + b'":1}', b'{"[a.b]":1}', b'{"amountMinor":1e400}',
    )  # fmt: skip
    kinds = (transaction_pb2.Transaction, transaction_pb2.Label)
    for raw, kind in itertools.product(odd, kinds):
        told = refusal(raw, kind)
        assert len(told.field) <= 64
        assert len(told.message) < 500
