"""What a payment must bring: each lack is told as one, and all of them at once."""

from itertools import combinations

import pytest
from google.protobuf import json_format

from scoring import wire
from scoring.core.transaction.event_time import implausible
from scoring.core.transaction.label import Label, validate_label
from scoring.core.transaction.transaction import validate
from scoring.errors import InvalidTransaction
from scoring.v1 import transaction_pb2

NOON_S = 1_772_366_400
REQUIRED = {"id": "r1", "occurred_at": {"seconds": NOON_S}, "currency": "EUR"}
LACKING = [each for count in (1, 2, 3) for each in combinations(REQUIRED, count)]


def refusal(raw: bytes, content_type: str) -> InvalidTransaction:
    with pytest.raises(InvalidTransaction) as raised:
        validate(wire.transaction_from_bytes(raw, content_type=content_type))
    return raised.value


@pytest.mark.parametrize("lacking", LACKING, ids="-".join)
def test_all_that_is_lacking_is_named_at_once_and_as_required(lacking):
    given = {name: REQUIRED[name] for name in REQUIRED if name not in lacking}
    message = transaction_pb2.Transaction(**given, card="c1")
    binary = refusal(message.SerializeToString(), wire.PROTOBUF)
    text = refusal(json_format.MessageToJson(message).encode(), wire.JSON)
    assert binary.message == text.message
    assert binary.field == text.field == lacking[0]
    assert binary.message.startswith("is required")
    assert all(name in str(binary) for name in lacking)
    assert not any(name in str(binary) for name in given if name != "id")


def test_what_alone_is_lacking_is_told_with_what_it_must_be():
    known = {**REQUIRED}
    del known["currency"]
    raw = transaction_pb2.Transaction(**known).SerializeToString()
    told = "is required, an active ISO 4217 currency code such as EUR"
    assert refusal(raw, wire.PROTOBUF).message == told
    del (known := {**REQUIRED})["occurred_at"]
    raw = transaction_pb2.Transaction(**known).SerializeToString()
    assert refusal(raw, wire.PROTOBUF).message == implausible(0)


def test_a_label_without_a_verdict_is_told_that_it_is_required():
    label = Label("default", "r1", 1, verdict=0, known_at_ms=NOON_S * 1_000)
    with pytest.raises(InvalidTransaction, match="verdict: is required"):
        validate_label(label, received_at_ms=NOON_S * 1_000, skew_ms=0)
