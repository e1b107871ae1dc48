"""Bytes of others are written without card numbers, and proved so."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.transaction.card_number import holds_card_number
from scoring.v1.transaction_pb2 import Transaction
from scoring.wire.card_number_masking import shown, without_card_digits

PAN = "4111111111111111"


def test_what_holds_none_is_shown_as_it_is():
    for raw in (b"", b"tok_1", b"\xff\xfe\x00", b'{"id": "t1", "n": 12345678901234}'):
        assert shown(raw).raw == raw


@pytest.mark.parametrize(
    "raw",
    [
        PAN.encode(),
        b"broken " + PAN.encode() + b" \xff",
        b'{"card": "%s 12/25"}' % PAN.encode(),
        b'{"card": %s}' % PAN.encode(),
        b'{"card": "\\u0034111111111111111"}',
        json.dumps({PAN: [{"a": "4111 1111 1111 1111"}]}).encode(),
        "\u0664111111111111111".encode(),
        PAN.encode("utf-16"),
        PAN.encode("utf-16-be"),
        b"card=4111%201111%201111%201111",
    ],
)
def test_a_card_number_is_overwritten_or_nothing_is_shown(raw):
    told = shown(raw)
    assert told.masked or (told.withheld and told.raw == b"")
    assert not holds_card_number(told.raw.decode(errors="surrogateescape"))
    assert not holds_card_number(told.raw.replace(b"\0", b"").decode(errors="replace"))
    assert b"111111111" not in told.raw.translate(None, b" -\0")


@pytest.mark.parametrize("length", range(16, 60))
def test_a_length_of_a_message_does_not_hide_the_number_behind_it(length):
    # From 48 to 57 the byte before the text is itself a digit.
    text = (PAN + " " + "x" * 60)[: max(length, 17)]
    raw = Transaction(id="t1", card=text, merchant="m").SerializeToString()
    told = shown(raw)
    assert told.masked
    assert len(told.raw) == len(raw)
    assert Transaction.FromString(told.raw).card.startswith("X" * 16)
    assert Transaction.FromString(told.raw).merchant == "m"


def test_digits_that_nobody_can_read_are_not_shown():
    told = shown(b"\xff\x00" + PAN.encode() + b"9" * 3 + b"\xfe" + b"4" * 40)
    assert told.withheld
    assert told.raw == b""


def test_a_fingerprint_is_made_of_no_card_digits():
    one, other = (f'{{"card": "{n}"}}'.encode() for n in (PAN, "5555555555554444"))
    assert without_card_digits(one) == without_card_digits(other)
    assert without_card_digits(b"t-1") != without_card_digits(b"t-2")


texts = st.text(string.printable + "\u00a0\uff14\u200b", max_size=20)


@given(texts, texts, st.sampled_from(["plain", "json", "message"]))
def test_nothing_that_is_shown_holds_the_number_that_was_put_in(before, after, how):
    text = f"{before} {PAN} {after}"
    if how == "message":
        raw = Transaction(id="t", attributes={"note": text}).SerializeToString()
    else:
        raw = (json.dumps({"note": [text]}) if how == "json" else text).encode()
    assert PAN.encode() not in shown(raw).raw
