"""Many entries at once are checked exactly as one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scoring.control.domain.entry_columns import checked_columns, entry_row
from scoring.control.domain.managed_lists import checked_entry
from scoring.core.transaction.card_number import (
    any_holds_card_number,
    holds_card_number,
    masked_text,
)
from scoring.errors import InvalidTransaction

PANS = ["4111111111111111", "378282246310005", "5555555555554444", "6011000990139424"]
PAN = st.sampled_from(PANS)
# What decides: long runs of digits, alone, within tokens, cut in two, in other scripts.
digits = st.text("0123456789", min_size=11, max_size=22)
parts = st.one_of(
    digits,
    PAN,
    PAN.map(lambda pan: "0" * 3 + pan),
    PAN.map(lambda pan: f"5A08{pan}F"),
    PAN.map(lambda pan: f"{pan}D2512"),
    PAN.map(lambda pan: f"DE89370400440532013000{pan}"),
    PAN.map(lambda pan: pan.translate({ord("4"): "\u0664"})),
    PAN.map(lambda pan: "%34" + pan[1:]),
    st.sampled_from(
        ["tok_", "-", " ", "x", "F", "B", "%", "\u00e9", "\u2028", "", "+"]
    ),
    st.text(max_size=4),
)
texts = st.lists(parts, max_size=4).map("".join)


@given(texts)
def test_a_text_holds_a_card_number_where_one_would_be_overwritten(text):
    assert holds_card_number(text) == masked_text(text)[1]


@given(st.lists(texts, max_size=8))
def test_one_of_many_texts_holds_a_card_number_where_one_of_them_does(many):
    assert any_holds_card_number(many) == any(map(holds_card_number, many))


@given(st.lists(st.text("0123456789 -", min_size=12, max_size=25), max_size=6))
def test_numbers_of_two_texts_are_never_one(many):
    assert any_holds_card_number(many) == any(map(holds_card_number, many))


values = st.tuples(
    st.one_of(st.sampled_from(["c1", "tok_2", "DE", "", " c", "c\n"]), texts),
    st.sampled_from(["", "", "2026-03-01T12:00:00Z", "tomorrow", "2026-03-01"]),
    st.one_of(st.sampled_from(["", "police", PANS[0], "r" * 201]), texts),
)


@given(
    st.sampled_from(["card", "device", "attributes.coupon", "card_country", "amount"]),
    st.lists(values, min_size=1, max_size=5),
)
def test_entries_are_taken_together_exactly_where_each_would_be(field, rows):
    try:
        alone = [entry_row(checked_entry(field, *row)) for row in rows]
    except InvalidTransaction:
        alone = None
    together = checked_columns(field, *zip(*rows, strict=True))
    # A field of which each value has a form is asked one by one.
    if field != "card_country":
        assert together == alone
    else:
        assert together in (None, alone)
