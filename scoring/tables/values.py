"""What the values of a column can be: looked at before its name is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from re import ASCII, fullmatch

from scoring.core.transaction.event_time import implausible
from scoring.core.transaction.fields import FieldType
from scoring.core.transaction.transaction import FIELD_OF
from scoring.tables import cells
from scoring.tables.mapping import MoneyReading, TimeReading

# Of a column's values, at least so many must fit: a total row is no reason to ask.
_FITTING_MIN = 0.9
_CURRENCIES_MIN = 0.5
_DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y",
    "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%Y%m%d", "%d %b %Y", "%b %d, %Y", "%d-%b-%Y",
)  # fmt: skip
_TIMES = (
    "", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p",
    "T%H:%M:%S", "%H%M%S",
)  # fmt: skip
FORMATS = tuple(date + time for date, time in product(_DATES, _TIMES))
_SYMBOLS = "$€£¥₹"
SYMBOL_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}


def fitting(
    values: Sequence[str],
    fits: Callable[[str], object],
    least: float = _FITTING_MIN,
) -> bool:
    """Whether nearly all values can be read; an empty column says nothing against it.

    >>> fitting(["1", "2"], int), fitting(["1", "a"], int)
    (True, False)
    """

    def can(value: str) -> bool:
        try:
            fits(value)
        except ValueError:
            return False
        return True

    return sum(map(can, values)) >= least * len(values)


def can_be(field: str, values: Sequence[str]) -> bool:
    """Whether a column of these values can be a field at all."""
    if not values:
        return True
    if field == "id":
        return len(set(values)) * 2 >= len(values)  # each may be delivered twice
    if field == "fraud":
        return can_be_label(values)
    if field == "outcome":
        return all(cells.outcome(value, None) for value in values)
    if field in ("occurred_at", "known_at"):
        return time_of(values) is not None
    if field == "amount":
        return money_of(values) is not None
    # Without it one currency is assumed of all: rather refuse the rows that have none.
    least = _CURRENCIES_MIN if field == "currency" else _FITTING_MIN
    return fitting(values, lambda value: _read(field, value), least)


def _read(field: str, value: str) -> None:
    declared = FIELD_OF[field]
    if declared.is_token:
        if len(value) > declared.characters_max or not value.isprintable():
            raise ValueError
        if declared.form and declared.form.canonical(value) is None:
            raise ValueError
    elif declared.members:
        cells.member(declared.members, value)
    elif declared.type is FieldType.WHOLE:
        cells.whole(value)
    elif declared.type is FieldType.REAL:
        if not declared.low <= cells.number(value) <= declared.high:
            raise ValueError
    elif declared.codes and declared.codes.refusal(cells.code(field, value)):
        raise ValueError


def can_be_label(values: Sequence[str]) -> bool:
    """Whether values say fraud or not: usual words and 0 and 1, mostly, and two.

    >>> can_be_label(["0", "1", "-1"] * 9 + ["0"] * 99), can_be_label(["0.9", "0.1"])
    (True, False)
    """
    said = [cells.fraud(value, None) for value in values]
    known = [verdict for verdict in said if verdict is not None]
    return len(known) * 2 >= len(values) and len(set(values)) <= 8  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Times:
    """How a column writes times.

    `formats` are those that fit, several where day and month cannot be told apart;
    `unit` is of numbers since 1970; `counter` numbers count from an unknown start.
    """

    formats: tuple[str, ...] = ()
    unit: str = ""
    counter: bool = False
    zoned: bool = False


def time_of(values: Sequence[str], formats: Sequence[str] = FORMATS) -> Times | None:
    """How values write times; None where they are none."""
    if fitting(values, cells.iso):
        return Times(zoned=fitting(values, _zoned))
    fits = _formats(values, formats)
    if fits:
        return Times(formats=fits)
    if not fitting(values, cells.number):
        return None
    for unit in ("s", "ms", "us", "ns"):
        if fitting(values, lambda value, unit=unit: _of_our_days(value, unit)):  # type: ignore[misc]
            return Times(unit=unit)
    return Times(counter=True)


def only_days(values: Sequence[str]) -> bool:
    """Whether times are days without a time of day.

    >>> only_days(["2024-03-01"]), only_days(["2024-03-01 10:00"])
    (True, False)
    """
    return bool(values) and all(
        fullmatch(r"\d{4}-\d\d-\d\d|\d\d?[/.-]\d\d?[/.-]\d{2,4}", value, ASCII)
        for value in values
    )


def zone_of(values: Sequence[str]) -> str:
    """The one zone that all values name; empty where there is none.

    >>> zone_of(["CET", "CET"]), zone_of(["CET", "UTC"]), zone_of(["home"])
    ('CET', '', '')
    """
    named = set(values)
    try:
        return TimeReading(zone=named.pop()).zone if len(named) == 1 else ""
    except ValueError:
        return ""


def _zoned(value: str) -> None:
    if cells.iso(value).tzinfo is None:
        raise ValueError


def _of_our_days(value: str, unit: str) -> None:
    if implausible(int(cells.number(value) * cells.UNIT_MS[unit])):
        raise ValueError


def _formats(values: Iterable[str], formats: Sequence[str]) -> tuple[str, ...]:
    """The formats that fit the most values, where that is nearly all."""
    counts = dict.fromkeys(formats, 0)
    total = 0
    for value in values:
        total += 1
        for form in formats:
            counts[form] += _is(value, form)
    most = max(counts.values())
    if most < _FITTING_MIN * total:
        return ()
    return tuple(form for form, count in counts.items() if count == most)


def _is(value: str, form: str) -> bool:
    if "%Y%m%d" in form and not fullmatch(r"\d{8}(\d{6}| .*|T.*)?", value, ASCII):
        return False
    try:
        at = datetime.strptime(value, form)  # noqa: DTZ007 only whether it fits
    except ValueError:
        return False
    return 2000 <= at.year < 2100  # noqa: PLR2004 as the doors have it


def money_of(values: Sequence[str]) -> MoneyReading | None:
    """How values write amounts; None where they are none, or it cannot be told.

    >>> money_of(["$134.09", "$-2.10"]), money_of(["1.234,56", "7,10"])
    (MoneyReading(decimal='.', symbol='$'), MoneyReading(decimal=',', symbol=''))
    """
    if fitting(values, cells.number) and all("," not in value for value in values):
        return MoneyReading()
    symbols = {char for value in values for char in value if char in _SYMBOLS}
    symbol = symbols.pop() if len(symbols) == 1 else ""
    readings = [MoneyReading(decimal=mark, symbol=symbol) for mark in (".", ",")]
    fits = [
        reading
        for reading in readings
        if fitting(values, lambda v, r=reading: cells.amount_minor(v, 2, r))  # type: ignore[misc]
    ]
    return fits[0] if len(fits) == 1 else None


def all_whole(values: Iterable[str]) -> bool:
    """Whether amounts are whole numbers, written without a fraction."""
    return all(fullmatch(r"-?[0-9]+", value, ASCII) for value in values)


def ends_like_floats(values: Sequence[str]) -> bool:
    """Whether tokens look like numbers that went through a float, such as 1001.0."""
    return bool(values) and all(
        fullmatch(r"[0-9]+\.0", value, ASCII) for value in values
    )
