"""Texts that have one spelling each, and what is worked out of them."""

import dataclasses
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import wire
from scoring.core.transaction.fields import Role
from scoring.core.transaction.forms import ACCOUNT, EMAIL, IP, PHONE, network_of
from scoring.core.transaction.transaction import (
    DERIVED,
    FIELDS,
    READ_FIELDS,
    Transaction,
    payload_hash,
    validate,
)
from scoring.errors import InvalidTransaction
from scoring.training.offline.derived_sql import DERIVED_SQL
from scoring.training.sql import connect
from scoring.v1 import transaction_pb2

PAYMENT = Transaction("default", "t1", occurred_at_ms=1_772_366_400_000, currency="EUR")
FORMED = [field for field in FIELDS if field.form]
addresses = (
    st.ip_addresses()
    | st.builds(IPv6Address, st.integers(0, 255).map(lambda n: n << 88))
    | st.builds(IPv6Address, st.sampled_from([0, 1, 1 << 127, 1 << 112, 1 << 96, 7]))
).map(lambda address: IP.spelled(str(address)))


@pytest.mark.parametrize(
    ("form", "written", "read"),
    [
        (IP, "2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        (IP, "::ffff:203.0.113.7", "203.0.113.7"),
        (EMAIL, "Ann@Mail.Example", "ann@mail.example"),
        (EMAIL, "tok_Ab1", "tok_Ab1"),
        (PHONE, "0049 (151) 1234-5678", "+4915112345678"),
        (PHONE, "tok_Ab1", "tok_Ab1"),
        (ACCOUNT, "de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        (ACCOUNT, "de88 3704", "de88 3704"),
    ],
)
def test_other_spellings_of_one_text_are_read_as_one(form, written, read):
    assert form.spelled(written) == form.spelled(read) == read


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("ip", "203.0.113.07"), ("ip", "localhost"), ("ip", "fe80::1%eth0"),
        ("ip", "203.0.113.0/24"), ("email", "zed@"), ("email", "a b@mail.example"),
        ("phone", "0151 1234567"), ("bin", "51999"), ("bin", "411111111"),
        ("three_ds_version", "two"), ("eci", "5x"), ("previous_response_code", "5x"),
    ],
)  # fmt: skip
def test_what_is_no_such_text_is_refused_by_its_field_and_never_repeated(
    field, written
):
    said = transaction_pb2.Transaction(
        id="t1", currency="EUR", occurred_at={"seconds": 1_772_366_400}
    )
    setattr(said, field, written)
    with pytest.raises(InvalidTransaction) as refused:
        validate(wire.transaction_from_proto(said))
    assert refused.value.field == field
    assert written not in str(refused.value)


@pytest.mark.parametrize("field", FORMED, ids=lambda field: field.name)
def test_a_canonical_text_is_read_as_it_is_and_valid(field):
    for example in field.form.examples:
        assert field.form.spelled(example) == example
        validate(dataclasses.replace(PAYMENT, **{field.name: example}))


@given(st.text())
def test_a_canonical_spelling_is_its_own(text):
    for field in READ_FIELDS:
        if field.form:
            spelled = field.form.spelled(text)
            assert field.form.spelled(spelled) == spelled


@pytest.mark.parametrize(
    "number", ["+4969123456789", "+436641234567890", "+393331234567", "+4915112345678"]
)
def test_no_phone_number_is_taken_for_a_card(number):
    for last in range(10):  # one of them has the check digit of a card
        validate(dataclasses.replace(PAYMENT, phone=f"{number[:-1]}{last}"))


@pytest.mark.parametrize("bin_", ["411111", "41111111", "4000000"])
def test_a_bin_is_never_a_card_number_with_what_stands_beside_it(bin_):
    beside = dict.fromkeys(("session", "issuer", "wallet", "payer_account"), "1111111")
    validate(dataclasses.replace(PAYMENT, bin=bin_, **beside))


def test_every_derived_field_has_its_sql_and_is_an_attribute():
    assert {field.name for field in DERIVED} == set(DERIVED_SQL)
    for field, of in DERIVED.items():
        assert field.role is not Role.SCOPE
        assert getattr(PAYMENT, field.name) == ""
        known = {f.name: f for f in FIELDS}[of].form.examples[0]
        assert getattr(dataclasses.replace(PAYMENT, **{of: known}), field.name)


@given(st.lists(addresses, min_size=1, max_size=200))
def test_the_network_of_an_address_is_the_same_in_sql(ips):
    with connect() as con:
        con.execute("CREATE TABLE t (i INT, ip VARCHAR)")
        con.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(["", *ips])))
        sql = f"SELECT {DERIVED_SQL['ip_network']('ip')} FROM t ORDER BY i"  # noqa: S608
        assert [n for (n,) in con.execute(sql).fetchall()] == [
            *map(network_of, ["", *ips])
        ]


@given(addresses)
def test_a_network_holds_its_address_and_reads_as_networks_are_written(ip):
    network, _, bits = network_of(ip).partition("/")
    kind, size = (IPv6Address, 128) if ":" in ip else (IPv4Address, 32)
    assert str(kind(network)) == network
    assert int(kind(ip)) >> (size - int(bits)) == int(kind(network)) >> (
        size - int(bits)
    )


# Named numbers -----------------------------------------------------------------------


def test_named_numbers_are_finite_few_and_named():
    for numbers in (
        {"score": float("nan")}, {"score": 2e18}, {"score": float("-inf")},
        {"": 1.0}, {"k" * 65: 1.0},
        {f"k{i}": 1.0 for i in range(33)}, {"card": 4111111111111111.0},
        {"4111111111111111": 1.0},
    ):  # fmt: skip
        with pytest.raises(InvalidTransaction) as refused:
            validate(dataclasses.replace(PAYMENT, numbers=numbers))
        assert refused.value.field.startswith("numbers")
        assert "4111" not in str(refused.value)
    validate(dataclasses.replace(PAYMENT, numbers={f"k{i}": -1e18 for i in range(32)}))


def test_a_number_of_0_is_there_and_one_that_is_left_out_is_not():
    hashes = {
        payload_hash(dataclasses.replace(PAYMENT, numbers=numbers))
        for numbers in ({}, {"a": 0.0}, {"b": 0.0}, {"a": 0.0, "b": 0.0}, {"a": 1.0})
    }
    assert len(hashes) == 5


def test_a_payload_hash_knows_no_order_of_numbers_and_no_sign_of_0():
    one = dataclasses.replace(PAYMENT, numbers={"a": 0.0, "b": 1.5})
    other = dataclasses.replace(PAYMENT, numbers={"b": 1.5, "a": -0.0})
    assert payload_hash(one) == payload_hash(other)
    assert one == other
