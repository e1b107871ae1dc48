"""Transactions: limits, card numbers, identity."""

import dataclasses
import json
from pathlib import Path

import pytest

from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.card_number import holds_card_number, masked
from scoring.core.transaction.codes import CURRENCY_DIGITS
from scoring.core.transaction.transaction import (
    Transaction,
    order_hash,
    payload_hash,
    validate,
)
from scoring.errors import CardNumberRefused, InvalidTransaction

GOOD = Transaction(
    tenant="default",
    id="t1",
    payment_id="p1",
    attempt=1,
    occurred_at_ms=1_700_000_000_123,
    amount_minor=1999,
    currency="EUR",
    card="card-1",
    customer="customer-1",
    merchant="merchant-1",
    terminal="terminal-1",
    device="device-1",
    channel=2,
    entry_mode=5,
    merchant_category="5411",
    card_country="DE",
    merchant_country="FR",
    ip_country="DE",
    latitude=48.1,
    longitude=11.5,
    attributes={"basket": "3 books"},
)
PAN = "4111111111111111"
OTHER = {
    "tenant": "shop-2", "id": "t2", "payment_id": "p2", "attempt": 2,
    "occurred_at_ms": 1_700_000_000_124, "amount_minor": 2000, "currency": "USD",
    "card": "card-2", "customer": "c2", "merchant": "m2", "terminal": "t2",
    "device": "d2", "channel": 1, "entry_mode": 1, "merchant_category": "5999",
    "card_country": "FR", "merchant_country": "DE", "ip_country": "FR",
    "latitude": 48.2, "longitude": 11.6, "attributes": {"basket": "4 books"},
}  # fmt: skip


def test_a_complete_transaction_is_within_its_limits():
    validate(GOOD)


def test_an_amount_may_be_left_out_and_then_is_not_one_of_0():
    left_out = dataclasses.replace(GOOD, amount_minor=None)
    validate(left_out)
    validate(dataclasses.replace(GOOD, amount_minor=0))
    assert default_catalogue().amount(left_out) is None
    hashes = {
        payload_hash(dataclasses.replace(GOOD, amount_minor=minor))
        for minor in (None, 0, 1)
    }
    assert len(hashes) == 3


def test_the_hash_of_a_payment_of_an_earlier_release_stands():
    assert payload_hash(Transaction("default", "t1", amount_minor=100)).hex() == (
        "386e533184f764947ecfc6c15309d61ca2db1d97dea14edbab289b2031f444a5"
    )


NOON_S = 1_772_366_400


@pytest.mark.parametrize(
    ("read_as_ms", "words"),
    [
        (NOON_S, "1970-01-21, .* these look like seconds read as milliseconds"),
        (NOON_S // 1_000, "these look like seconds read as microseconds"),
        (NOON_S * 1_000**2, "these look like milliseconds read as seconds"),
        (NOON_S * 1_000**3, "these look like microseconds read as seconds"),
        (NOON_S * 1_000**4, "these look like nanoseconds read as seconds"),
        (-1, "is 1969-12-31, not between 2000 and 2100$"),
        (0, "is required"),
    ],
)
def test_a_time_of_another_unit_is_refused_by_the_unit_that_fits(read_as_ms, words):
    with pytest.raises(InvalidTransaction, match=words):
        validate(dataclasses.replace(GOOD, occurred_at_ms=read_as_ms))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tenant", "no spaces"),
        ("id", ""),
        ("id", "x" * 129),
        ("id", "a\x00b"),
        ("payment_id", "x" * 129),
        ("attempt", 1001),
        ("occurred_at_ms", 0),
        ("occurred_at_ms", 5_000_000_000_000),
        ("amount_minor", -1),
        ("amount_minor", 10**13 + 1),
        ("currency", "eur"),
        ("currency", ""),
        ("channel", 17),
        ("entry_mode", -1),
        ("merchant_category", "54"),
        ("card_country", "Germany"),
        ("ip_country", "d1"),
        ("latitude", float("nan")),
        ("longitude", 181.0),
        ("longitude", None),
        ("attributes", {str(i): "" for i in range(33)}),
        ("attributes", {"": "x"}),
        ("attributes", {"k": "x" * 257}),
    ],
)
def test_a_field_outside_its_limits_is_refused_by_name(field, value):
    with pytest.raises(InvalidTransaction) as refusal:
        validate(dataclasses.replace(GOOD, **{field: value}))
    assert field.removesuffix("_ms") in refusal.value.field
    assert refusal.value.message


@pytest.mark.parametrize(
    "field",
    ["id", "payment_id", "card", "customer", "merchant", "terminal", "device"],
)
@pytest.mark.parametrize("written", [PAN, "4111 1111-1111 1111", f"card:{PAN}."])
def test_a_card_number_in_any_token_is_refused_without_repeating_it(field, written):
    with pytest.raises(CardNumberRefused) as refusal:
        validate(dataclasses.replace(GOOD, **{field: written}))
    assert refusal.value.field == field
    assert "4111" not in str(refusal.value)


@pytest.mark.parametrize("attributes", [{"note": f"pan {PAN}"}, {PAN: "x"}])
def test_a_card_number_in_an_attribute_is_refused_without_repeating_it(attributes):
    with pytest.raises(CardNumberRefused) as refusal:
        validate(dataclasses.replace(GOOD, attributes=attributes))
    assert "4111" not in str(refusal.value)


def test_a_numeric_id_can_be_exempt_from_the_card_number_guard():
    validate(dataclasses.replace(GOOD, id=PAN), exempt=frozenset({"id"}))


def test_only_whole_digit_runs_count_as_card_numbers():
    assert not holds_card_number("9" + PAN + "9" * 10)
    assert not holds_card_number("20231114221320123")
    assert not holds_card_number("tok_4111x1111x1111x1111")
    assert holds_card_number("378282246310005")


def test_masking_overwrites_card_digits_and_nothing_else():
    raw = b'{"card":"4111-1111-1111-1111","id":"12345678901234567890123"}'
    blind, found = masked(raw)
    assert found
    assert blind == raw.replace(b"4111-1111-1111-1111", b"XXXX-XXXX-XXXX-XXXX")


@pytest.mark.parametrize(("field", "value"), OTHER.items())
def test_every_field_is_part_of_the_payload_hash(field, value):
    assert payload_hash(dataclasses.replace(GOOD, **{field: value})) != payload_hash(
        GOOD
    )


def test_moving_text_between_neighbouring_fields_changes_the_payload_hash():
    one = dataclasses.replace(GOOD, card="ab", customer="c")
    other = dataclasses.replace(GOOD, card="a", customer="bc")
    assert payload_hash(one) != payload_hash(other)


def test_the_payload_hash_is_what_the_first_release_computed():
    # Changing it would turn every repeat across an upgrade into a conflict.
    assert payload_hash(GOOD).hex() == (
        "f2bd01262a64c09f2c551b6d8d196153bc66322e061ec78adfda6e25aa7fd491"
    )


HASHES = json.loads(Path(__file__).with_name("payload_hashes.json").read_text())


@pytest.mark.parametrize(("hash_", "told"), HASHES, ids=lambda x: str(x)[:8])
def test_the_payload_hash_of_any_payment_is_what_earlier_releases_computed(hash_, told):
    """sha-256 and fields, written by the release before fields were declared once."""
    assert payload_hash(Transaction(**told)).hex() == hash_


def test_the_order_hash_is_the_head_of_the_sha_256_of_the_id():
    assert order_hash("t1") == 0x628B49D96DCDE97A


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("currency", "ZZZ", ""), ("currency", "ERU", "EUR"), ("currency", "XXY", ""),
        ("currency", "XAU", ""), ("currency", "HRK", ""), ("currency", "usd", "USD"),
        ("card_country", "UK", "GB"), ("merchant_country", "DEU", "DE"),
        ("ip_country", "T1", ""), ("merchant_category", "742", "0742"),
    ],
)  # fmt: skip
def test_a_code_that_its_standard_does_not_list_is_refused_with_the_nearest(
    field, value, nearest
):
    with pytest.raises(InvalidTransaction, match=f"^{field}: ") as refused:
        validate(dataclasses.replace(GOOD, **{field: value}))
    assert (f"did you mean {nearest!r}" in str(refused.value)) == bool(nearest)


def test_minor_units_are_those_of_iso_4217():
    digits = {"JPY": 0, "UYI": 0, "EUR": 2, "ISK": 0, "KWD": 3, "CLF": 4, "UYW": 4}
    assert {code: CURRENCY_DIGITS[code] for code in digits} == digits


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("basket", "x" * 257, "attributes.basket"),
        ("k" * 65, "v", f"attributes.{'k' * 64}"),
        ("", "v", "attributes"),
        ("a\nb", "x" * 257, "attributes"),
        (PAN, "x" * 257, "attributes"),
    ],
)
def test_an_error_of_an_attribute_names_its_key_where_it_may(key, value, field):
    with pytest.raises(InvalidTransaction) as refused:
        validate(dataclasses.replace(GOOD, attributes={key: value}))
    assert refused.value.field == field
