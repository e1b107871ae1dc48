"""Of what people and systems really send, card numbers are found, and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from time import process_time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.transaction.card_number import holds_card_number, masked_text
from scoring.core.transaction.plain_text import readings
from scoring.v1.transaction_pb2 import Transaction
from scoring.wire.card_number_masking import (
    hides_card_number,
    shown,
    without_card_digits,
)

PAN = "4111111111111111"
EMBEDDED = [
    *(r'{"pan": "\u0034111111111111111"}', r"{\"pan\": \"\\u0034111111111111111\"}"),
    *("".join(f"%3{d}" for d in PAN), "&#52;111111111111111", "&#x34;111111111111111"),
    *("4111%25201111%25201111%25201111", "4111&thinsp;1111&#32;1111&nbsp;1111"),
    *(r"4111\n1111\n1111\n1111", "4111%C2%A01111%C2%A01111%C2%A01111"),
    *("4111&amp;nbsp;1111&amp;nbsp;1111&amp;nbsp;1111", "0004111111111111111"),
    *("378282246310005F", "5A084111111111111111", "4111111111111111d25122010000012345"),
    *("9F02060000000010005A0841111111111111115F340101", f"{PAN}%34"),
    *("57114111111111111111D25122010000012345F", "411 111 111 111 1111 12/25"),
    *("2026-11-29 411 111 111 111 1111", "41 11 11 11 11 11 11 11", " ".join(PAN)),
]


@pytest.mark.parametrize("text", EMBEDDED)
def test_a_number_is_found_and_overwritten_however_it_is_written(text):
    assert holds_card_number(text)
    hidden, found = masked_text(text)
    assert found
    assert len(hidden) == len(text)
    assert not holds_card_number(hidden)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (r"\u0034111111111111111", r"\u0058" + "X" * 15),
        ("%34111111111111111", "%58" + "X" * 15),
        ("&#52;111111111111111", "&#88;" + "X" * 15),
        ("0004111111111111111", "000" + "X" * 16),
    ],
)
def test_an_escape_is_overwritten_by_an_escape_of_an_x(text, hidden):
    assert masked_text(text) == (hidden, True)


def digits(r: random.Random, count: int) -> str:
    return "".join(r.choices("0123456789", k=count))


def article(r: random.Random) -> str:
    body = r.choice(["40", "49", "50", "57"]) + digits(r, 10)
    return body + str(
        -sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(body)) % 10
    )


def polish_account(r: random.Random) -> str:
    rest = digits(r, 24)
    turned = "".join(str(int(c, 36)) for c in f"{rest}PL00")
    whole = f"PL{98 - int(turned) % 97:02d}{rest}"
    return r.choice(" -\u00a0").join(whole[i : i + 4] for i in range(0, 28, 4))


OTHERS: dict[str, Callable[[random.Random], str]] = {
    "a telephone, as E.164": lambda r: f"tel:+49{digits(r, 11)}",
    "a mobile without a sign": lambda r: f"4917{digits(r, 9)}",
    "an article": article,
    "GS1 elements": lambda r: f"(01)0{article(r)}(17)251231(10){digits(r, 6)}",
    "an IPv6 address": lambda r: str(IPv6Address(r.getrandbits(128))),
    "addresses and a port": lambda r: (
        f"{IPv4Address(r.getrandbits(32))}:{digits(r, 5)}"
    ),
    "coordinates": lambda r: f"{r.uniform(-90, 90)!r}, {r.uniform(-180, 180)!r}",
    "a score": lambda r: repr(r.random()),
    "an account in groups": polish_account,
    "a UUID of no version": lambda r: str(UUID(int=r.getrandbits(128))),
    "timings": lambda r: ",".join(str(r.randrange(50, 400)) for _ in range(12)),
    "a list of numbers": lambda r: json.dumps([r.randrange(9_999) for _ in range(12)]),
    "a list of digits": lambda r: " ".join(digits(r, 30)),
    "a time and a sequence": lambda r: (
        f"2026-11-29T10:15:30.{digits(r, 3)}Z-00{digits(r, 4)}"
    ),
    "X-Ray": lambda r: f"Root=1-{r.getrandbits(32):08x}-{r.getrandbits(96):024x}",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_numbers_of_other_kinds_are_no_card_numbers(kind):
    chance = random.Random(3)
    texts = [OTHERS[kind](chance) for _ in range(3_000)]
    assert [text for text in texts if holds_card_number(text)] == []


HOSTILE = ["4 ", "4111 ", "41-", "AA00 1111 ", "4%20", "&nbsp;4", "\u0664\u00a0", "4a"]


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_time_to_look_grows_with_the_length_and_no_faster(piece):
    def seconds(size: int) -> float:
        raw = (piece * size)[:size].encode()
        start = process_time()
        shown(raw)
        return process_time() - start

    seconds(1_000)
    assert seconds(80_000) < 24 * seconds(10_000) + 0.05
    assert seconds(2**22) < 8 * seconds(80_000) + 1  # what is too long is not looked at


@pytest.mark.parametrize("cut", [0, 10])
def test_a_framed_or_cut_message_does_not_hide_its_number(cut):
    text = (PAN + " " + "x" * 60)[:50]
    raw = b"\0\0\0\0\1\0" + Transaction(id="t", card=text).SerializeToString()
    told = shown(raw[: len(raw) - cut])
    assert told.masked or told.withheld
    assert PAN.encode() not in told.raw


def test_what_is_found_and_cannot_be_overwritten_is_found_all_the_same():
    assert hides_card_number(PAN.encode("utf-16"))


@given(st.binary(max_size=200) | st.lists(st.sampled_from(EMBEDDED)).map("&%\\".join))
def test_every_text_and_every_byte_is_looked_at_without_an_error(raw):
    raw = raw.encode() if isinstance(raw, str) else raw
    text = raw.decode(errors="surrogateescape")
    told = shown(raw)
    assert told.withheld or not hides_card_number(told.raw)
    assert len(without_card_digits(raw)) == len(raw)
    assert len(masked_text(text)[0]) == len(text)
    assert list(readings(text))
