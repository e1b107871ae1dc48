"""Ids as systems make them are no card numbers; card numbers are, in every guise."""

from __future__ import annotations

import random
from uuid import UUID

import pytest

from benchmarks.card_numbers import CARDS, KINDS, guises
from scoring.core.transaction.card_number import holds_card_number, is_card_number

NOW_MS = 1_790_000_000_000
OTHERS = {
    "epoch milliseconds": lambda r: f"ord-{NOW_MS + r.randrange(10**8)}",
    "epoch milliseconds and a number": lambda r: f"{NOW_MS + r.randrange(10**8)}-7",
    "snowflake": lambda r: str((NOW_MS - 1_288_834_974_657) << 22 | r.getrandbits(22)),
    "reference of a processor": lambda r: f"88{r.randrange(10**14):014d}",
    "retrieval reference": lambda r: f"{r.randrange(10**12):012d}",
    "order and shop": lambda r: f"{4_000_000_000 + r.randrange(10**7)}-{100_000}",
    "telephone": lambda r: f"+49 {r.randrange(100, 200)} {r.randrange(10**7):07d}",
    "UUID without dashes": lambda r: UUID(int=r.getrandbits(128), version=4).hex,
}


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_an_id_of_a_known_shape_is_never_refused(kind):
    make, chance = (KINDS | OTHERS)[kind], random.Random(11)
    ids = [make(chance) for _ in range(3_000)]
    assert [one for one in ids if holds_card_number(one)] == []


@pytest.mark.parametrize("scheme", CARDS)
def test_a_number_of_every_scheme_is_found_in_every_guise(scheme):
    assert is_card_number(CARDS[scheme])
    missed = [
        name for name, text in guises(CARDS[scheme]) if not holds_card_number(text)
    ]
    assert missed == []


def test_what_only_looks_like_a_token_is_looked_into():
    for text in (
        "41111111-1111-1111-1111",  # no UUID: the groups are others
        "GB00NWBK4111111111111111",  # no IBAN: its check digits are wrong
        "1 4111111111111111 2",
        "4111 1111-1111.1111",
    ):
        assert holds_card_number(text), text


def test_digits_within_a_longer_number_are_no_card_number():
    assert not holds_card_number("94111111111111111999999999")
