"""Tables as CSV: what a spreadsheet makes of them, whatever the texts are."""

import csv
import re
from decimal import Decimal
from io import StringIO

from hypothesis import example, given
from hypothesis import strategies as st

from scoring.core.csv_text import csv_bytes, csv_of, harmless

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
TRIGGERS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
texts = st.text(st.sampled_from("=+-@;,\t\r\n \"'a1.") | st.characters(), max_size=12)


def read(table, separator=","):
    text = table.decode("utf-8-sig")
    return list(csv.reader(StringIO(text, newline=""), delimiter=separator))


@given(st.lists(texts, min_size=1, max_size=3))
@example(["a;=1+1", '";"=1', "\n-1+1"])
def test_no_text_opens_as_a_formula_whatever_separates_cells_there(cells):
    table = csv_bytes(["first", "second", "third"][: len(cells)], [cells])
    for separator in (",", ";", "\t"):
        for row in read(table, separator)[1:]:
            for cell in row:
                begins = cell.lstrip(' "\n')
                assert NUMBER.fullmatch(cell) or not begins.startswith(TRIGGERS)


@given(st.lists(texts.filter(lambda text: text == harmless(text)), min_size=1))
def test_a_harmless_text_is_read_back_as_it_was(cells):
    assert read(csv_bytes(cells, [cells])) == [cells, cells]


@given(st.floats(allow_nan=False) | st.integers())
def test_a_number_is_read_back_to_its_last_digit(number):
    ((_,), (written,)) = read(csv_bytes(["n"], [[number]]))
    assert type(number)(written) == number


def test_negative_numbers_stay_numbers_as_a_value_and_as_a_text():
    row = [-1.5, "-1.5", "+2", Decimal("-12.50"), "-1+1"]
    assert read(csv_bytes(list("abcde"), [row]))[1] == [
        *("-1.5", "-1.5", "+2", "-12.50", "'-1+1")
    ]


def test_what_is_not_known_is_an_empty_cell_and_no_zero():
    assert read(csv_bytes(["a", "b", "c"], [[None, float("nan"), 0]]))[1] == [
        *("", "", "0")
    ]


def test_a_record_that_lacks_a_name_leaves_its_cell_empty():
    records = [
        {"rule": "a", "recall_interval": None, "hits": {"count": 1}},
        {"rule": "b", "recall_interval": (0.1, 0.2), "more": ["x", "y"]},
    ]
    assert read(csv_of(records)) == [
        ["rule", "recall_low", "recall_high", "hits.count", "more"],
        ["a", "", "", "1", ""],
        ["b", "0.1", "0.2", "", "x, y"],
    ]
