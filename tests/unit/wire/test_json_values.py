"""JSON's own numbers, names and times are read; what only Python reads is refused."""

import json

import pytest

from scoring import wire
from scoring.errors import InvalidTransaction
from scoring.v1.fraud_scoring_pb2 import (
    BatchCheckTransactionsRequest,
    CheckTransactionRequest,
    ReportEventsRequest,
    ReportLabelsRequest,
)
from scoring.v1.transaction_pb2 import Channel, Transaction

ODD_NUMBERS = [True, False, "1_000", "+5", " 5", "٣", "0x10", "five", ""]
ODD_NAMES = [True, False, 1.7, "1_0", " 2 ", "٢", "ECOMMERCE", ""]
ODD_TIMES = [
    "2026-3-1T12:00:00Z",
    "２026-03-01T12:00:00Z",
    "2026-03-01 12:00:00Z",
    " 2026-03-01T12:00:00Z",
    "2026-03-01T12:00:00",
    1_764_480_000_000,
]


def read(raw: str | dict) -> Transaction:
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return wire.message_from_bytes(text.encode(), Transaction, wire.JSON)


def refusal(raw: str | dict) -> InvalidTransaction:
    with pytest.raises(InvalidTransaction) as raised:
        read(raw)
    return raised.value


@pytest.mark.parametrize("odd", ODD_NUMBERS)
def test_what_is_no_number_in_json_is_refused_in_every_place_of_a_number(odd):
    assert refusal({"amountMinor": odd}).field == "amount_minor"
    assert refusal({"attempt": odd}).field == "attempt"
    assert refusal({"numbers": {"basket": odd}}).field == "numbers.basket"
    place = {"latitude": odd, "longitude": 1}
    assert refusal({"location": place}).field == "location.latitude"


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_what_is_no_name_of_the_contract_is_refused_with_those_that_are(odd):
    error = refusal({"channel": odd})
    assert error.field == "channel"
    assert "CHANNEL_ECOMMERCE" in error.message


def test_a_yes_or_no_that_may_be_unknown_is_not_guessed_from_true():
    assert refusal({"networkToken": True}).field == "network_token"
    assert refusal({"networkToken": False}).field == "network_token"


@pytest.mark.parametrize("odd", ODD_TIMES)
def test_what_is_no_time_of_rfc_3339_is_refused(odd):
    assert refusal({"occurredAt": odd}).field == "occurred_at"


def test_numbers_and_names_are_read_in_each_way_that_json_has_for_them():
    for amount in (1000, "1000", "000000001000", 1e3, "1e3", 1000.0):
        assert read({"amountMinor": amount}).amount_minor == 1000
    for number in (-0.5, "-0.5", "-5e-1"):
        assert read({"numbers": {"x": number}}).numbers["x"] == -0.5
    for channel in ("CHANNEL_ECOMMERCE", 2, "2", 2.0):
        assert read({"channel": channel}).channel == Channel.CHANNEL_ECOMMERCE


def test_a_value_of_a_map_says_what_its_values_are():
    assert "each value a number" in refusal({"numbers": {"x": None}}).message
    assert "each value a text" in refusal({"attributes": {"x": 5}}).message


def test_a_key_that_is_a_card_number_is_not_repeated():
    assert "4111" not in str(refusal({"numbers": {"4111111111111111": "a"}}))


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ("", "line 1, column 1"),
        ('{"id": "a",}', "line 1, column 12"),
        ('{\n "id": a}', "line 2, column 8"),
    ],
)
def test_what_is_no_json_is_refused_with_the_place(raw, where):
    assert refusal(raw).message == f"is no JSON from {where} on"


def test_a_field_is_named_as_the_contract_spells_it_whichever_check_refuses_it():
    named = {
        refusal({name: "x"}).field
        for name in ("amountMinor", "amount_minor", "occurredAt", "occurred_at")
    }
    assert named == {"amount_minor", "occurred_at"}


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ('{"numbers": {"x": 1, "x": 2}}', "numbers.x"),
        ('{"id": "a", "id": "b"}', "id"),
        ('{"amountMinor": 1, "amountMinor": 2}', "amount_minor"),
        ('{"attributes": {"a": "", "a": ""}, "attributes": {}}', "attributes"),
        ('{"numbers": {"4111111111111111": 1, "4111111111111111": 2}}', "numbers"),
        ('{"unknown": [{"a": 1}, {"b": 1, "b": 2}]}', "unknown.b"),
        ('{"a": 1, "b": 2, "b": 3, "a": 4}', "a"),
    ],
)
def test_what_is_given_twice_is_named_with_the_way_to_it(raw, field):
    error = refusal(raw)
    assert (error.field, error.message) == (field, "is given twice; send it once")


@pytest.mark.parametrize(
    ("kind", "name", "place"),
    [
        (ReportEventsRequest, "transactionId", '{"events": [{"transactionId": …}]}'),
        (ReportLabelsRequest, "transactionId", '{"labels": [{"transactionId": …}]}'),
        (BatchCheckTransactionsRequest, "id", '{"transactions": [{"id": …}]}'),
        (CheckTransactionRequest, "id", '{"transaction": {"id": …}}'),
        (Transaction, "latitude", '{"location": {"latitude": …}}'),
    ],
)
def test_what_stands_beside_the_object_or_list_of_its_own_is_told_where_it_goes(
    kind, name, place
):
    with pytest.raises(InvalidTransaction) as raised:
        wire.message_from_bytes(json.dumps({name: "a"}).encode(), kind, wire.JSON)
    assert raised.value.field == name
    assert raised.value.message.endswith(f"it goes into {place}")


def test_a_name_that_nothing_has_is_given_no_place():
    assert refusal({"seconds": 1}).message.endswith("or not of its type")
    assert refusal({"value": 1}).message.endswith("or not of its type")
