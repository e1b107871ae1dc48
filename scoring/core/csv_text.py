"""Tables as CSV that a spreadsheet opens safely: one writer for every export."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from math import isnan

Cell = str | int | float | Decimal | bool | None
Record = Mapping[str, object]

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
# Without it Excel reads UTF-8 as the system's code page, and names are garbled.
_BYTE_ORDER_MARK = "\ufeff"
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
# Where a spreadsheet may begin a cell: at the start, and where its country separates
# cells by something else than a comma, within; full-width signs count as well (OWASP,
# "CSV injection").
_FORMULA = re.compile(r'(?:^|[;\t\r\n])[\s"]*(?=[=+\-@＝＋－＠])')


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    r"""A table as CSV (RFC 4180) in UTF-8, for a file or a download.

    Numbers are written in full, without separators of thousands; nothing known is an
    empty cell. No text can be taken for a formula.

    >>> csv_bytes(["rule", "hits"], [["r1", 1200], ["=1+1", None]])
    b"\xef\xbb\xbfrule,hits\r\nr1,1200\r\n'=1+1,\r\n"
    """
    out = StringIO()
    out.write(_BYTE_ORDER_MARK)
    writer = csv.writer(out)
    writer.writerow([harmless(column) for column in columns])
    for row in rows:
        writer.writerow([_written(cell) for cell in row])
    return out.getvalue().encode()


def csv_of(records: Sequence[Record], columns: Sequence[str] = ()) -> bytes:
    r"""Records, as JSON holds them, as CSV: one row each, nested names joined by dots.

    The columns are those of the first record that has them, in order, unless some are
    given. A pair whose name ends with `interval` becomes two columns, `_low` and
    `_high`; a list becomes one text.

    >>> csv_of([{"rule": "r1", "hits": {"count": 3}, "precision_interval": [0.1, 0.2]}])
    b'\xef\xbb\xbfrule,hits.count,precision_low,precision_high\r\nr1,3,0.1,0.2\r\n'
    """
    flat = [_flat(record) for record in records]
    names = list(columns) or list(dict.fromkeys(name for one in flat for name in one))
    return csv_bytes(names, [[one.get(name) for name in names] for one in flat])


def harmless(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would run; numbers stay.

    >>> harmless("=HYPERLINK(1)"), harmless("-12.5"), harmless("a-b"), harmless("a;=1")
    ("'=HYPERLINK(1)", '-12.5', 'a-b', "a;'=1")
    """
    if _NUMBER.fullmatch(text):
        return text
    guarded = _FORMULA.sub(r"\g<0>'", text)
    return f"'{guarded}" if guarded.startswith(("\t", "\r", "\n")) else guarded


def _written(cell: Cell) -> str:
    """A cell's text: absence is empty, never a zero.

    >>> [_written(cell) for cell in (None, float("nan"), True, 0.1, 5)]
    ['', '', 'true', '0.1', '5']
    """
    if cell is None or (isinstance(cell, float) and isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return harmless(cell) if isinstance(cell, str) else str(cell)


def _flat(record: Record, before: str = "") -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for name, value in record.items():
        whole = before + name
        if name.endswith("interval"):
            low, high = value if isinstance(value, Sequence) and value else (None, None)
            stem = whole.removesuffix("interval")
            found |= {f"{stem}low": low, f"{stem}high": high}
        elif isinstance(value, Mapping):
            found |= _flat(value, f"{whole}.")
        else:
            found[whole] = _cell(value)
    return found


def _cell(value: object) -> Cell:
    if isinstance(value, str | int | float | Decimal | None):
        return value
    if isinstance(value, Sequence):
        return ", ".join(map(str, value))
    return str(value)
