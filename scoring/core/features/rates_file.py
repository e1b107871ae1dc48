"""A file of exchange rates, read and doubted.

    from,currency,reference,rate
    2026-11-01,USD,EUR,0.87
    2026-12-01,USD,EUR,0.86
    2026-11-01,JPY,EUR,0.006

A rate says how many units of the reference currency one unit is worth (one yen, 0.006
euros), from the beginning of a day in UTC until the next row of its currency.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from importlib import resources
from math import log

from scoring.core.features.rates import RATE_DECIMALS, RATE_SCALE, Rates, Row
from scoring.core.transaction.codes import CURRENCIES, CURRENCY_DIGITS
from scoring.errors import BadArtifact

COLUMNS = ("from", "currency", "reference", "rate")
_RATE_MAX = 10**6  # minor units for one: more is a rate written the wrong way round
_CHARACTERS_MAX = 64_000_000  # every currency, every day, for thirty years
_PROBLEMS_MAX = 20  # what is wrong throughout need not be said of every line
_DOUBT = log(1.25)  # currencies that are worth alike say nothing by their inverse
_MS_PER_S = 1_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,24})?([eE][-+]?\d{1,2})?")


@cache
def shipped_rates() -> Rates:
    """The example that ships: round figures, so that everything can be tried."""
    text = resources.files("scoring.defaults").joinpath("rates.csv").read_text("utf-8")
    return load_rates(text, reference="EUR", name="scoring/defaults/rates.csv")


def load_rates(text: str, *, reference: str, name: str) -> Rates:
    """Read a file of rates to a reference currency; blank and # lines are passed over.

    Raises `BadArtifact`, one line for each mistake: "file:line: column: problem".
    """
    if len(text) > _CHARACTERS_MAX:
        raise BadArtifact(f"{name}: larger than {_CHARACTERS_MAX} characters")
    found = _File(reference, name, [], {}, [])
    found.read(text.removeprefix("\ufeff"))
    if found.problems:
        raise BadArtifact("\n".join(found.problems))
    return Rates.from_rows(reference, found.rows)


def doubts(rates: Rates) -> Iterator[str]:
    """What a file may say and seldom means, by the shipped rates of its reference.

    Many publish how many units of a currency one unit of the reference is worth: a
    rate whose inverse lies nearer to the shipped one was likely copied from there.

    >>> list(doubts(Rates.from_rows("EUR", [])))
    ['has no rate: amounts in other currencies than EUR are unknown']
    """
    if len(rates.by_currency) == 1:
        but = f"amounts in other currencies than {rates.reference} are unknown"
        yield f"has no rate: {but}"
    shipped = shipped_rates()
    if shipped.reference != rates.reference:
        return
    for code in sorted(rates.by_currency.keys() & shipped.by_currency.keys()):
        newest = in_units(rates.by_currency[code].newest, code, rates.reference)
        known = in_units(shipped.by_currency[code].newest, code, rates.reference)
        off = abs(log(newest / known))
        if off > _DOUBT and off > abs(log(1 / newest / known)):
            yield (
                f"{code}: is 1 {code} {newest:g} {rates.reference}, or 1 "
                f"{rates.reference} {newest:g} {code}? Shipped is {known:g}"
            )


def rate_digits(currency: str, reference: str) -> int:
    """How many decimals a rate may be written with, so that none is lost.

    >>> rate_digits("USD", "EUR"), rate_digits("JPY", "EUR")
    (12, 14)
    """
    return RATE_DECIMALS + CURRENCY_DIGITS[reference] - CURRENCY_DIGITS[currency]


@dataclass(slots=True)
class _File:
    """What was read so far: rows, the line of each, and what is wrong."""

    reference: str
    name: str
    rows: list[Row]
    lines: dict[tuple[int, str], int]
    problems: list[str]

    def read(self, text: str) -> None:
        places: tuple[int, ...] = ()
        try:
            for line, cells in _cells(text):
                if not places:
                    places = _places(cells, f"{self.name}:{line}")
                    continue
                self._take(line, cells, places)
                if len(self.problems) >= _PROBLEMS_MAX:
                    self.problems.append(f"{self.name}: and perhaps more")
                    return
        except csv.Error as error:
            raise BadArtifact(f"{self.name}: is no CSV: {error}") from error
        if not places:
            raise BadArtifact(f"{self.name}:1: must begin with {','.join(COLUMNS)}")

    def _take(self, line: int, cells: list[str], places: tuple[int, ...]) -> None:
        if len(cells) != len(COLUMNS):
            why = f"has {len(cells)} cells, must have {len(COLUMNS)}"
            self.problems.append(f"{self.name}:{line}: {why}; decimals have a point")
            return
        day, currency, reference, rate = (cells[place] for place in places)
        try:
            self._keep(line, _from(day), self._currency(currency, reference), rate)
        except ValueError as error:
            self.problems.append(f"{self.name}:{line}: {error}")

    def _currency(self, currency: str, reference: str) -> str:
        for column, code in (("currency", currency), ("reference", reference)):
            if why := CURRENCIES.refusal(code):
                raise ValueError(f"{column}: {code!r} {why}")
        if reference != self.reference:
            raise ValueError(
                f"reference: is {reference}; the feature definitions count in "
                f"{self.reference}"
            )
        if currency == reference:
            raise ValueError(f"currency: {currency} is the reference: leave it out")
        return currency

    def _keep(self, line: int, start_ms: int, currency: str, rate: str) -> None:
        first = self.lines.setdefault((start_ms, currency), line)
        if first != line:
            raise ValueError(f"from: line {first} has a rate of {currency} that day")
        self.rows.append((start_ms, currency, _rate(rate, currency, self.reference)))


def _cells(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the numbers of their lines, without comments and blank lines."""
    reader = csv.reader(text.splitlines(), strict=True)
    for cells in reader:
        own = [cell.strip() for cell in cells]
        if any(own) and not own[0].startswith("#"):
            yield reader.line_num, own


def _places(heading: list[str], where: str) -> tuple[int, ...]:
    """Where each column is."""
    wanted = ",".join(COLUMNS)
    if len(heading) == 1:
        raise BadArtifact(f"{where}: the first line must be {wanted}, with commas")
    for name in heading:
        if name not in COLUMNS:
            close = get_close_matches(name.lower(), COLUMNS, n=1)
            near = f"; did you mean {close[0]!r}?" if close else ""
            raise BadArtifact(f"{where}: unknown column {name!r}{near}")
    if sorted(heading) != sorted(COLUMNS):
        raise BadArtifact(f"{where}: must have each of the columns {wanted} once")
    return tuple(heading.index(name) for name in COLUMNS)


def day_ms(day: str) -> int:
    """When a day begins in UTC; raises `ValueError`.

    >>> day_ms("1970-01-02")
    86400000
    """
    # Python reads 20261130 and 2026-W49-1 as well, which nobody means.
    text = day if _DAY.fullmatch(day) else ""
    try:
        start = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError as error:
        raise ValueError(
            f"{day!r} must be a day such as 2026-11-30, which begins in UTC"
        ) from error
    return int(start.timestamp()) * _MS_PER_S


def _from(day: str) -> int:
    try:
        return day_ms(day)
    except ValueError as error:
        raise ValueError(f"from: {error}") from error


def in_units(rate: int, currency: str, reference: str) -> float:
    """A rate between minor units as people write it: between whole ones.

    >>> in_units(600_000_000_000, "JPY", "EUR")
    0.006
    """
    steps = CURRENCY_DIGITS[currency] - CURRENCY_DIGITS[reference]
    return float(Fraction(rate, RATE_SCALE) * Fraction(10) ** steps)


def _rate(text: str, currency: str, reference: str) -> int:
    """In 1e-12 of a reference minor unit."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"rate: {text!r} must be a number above 0 such as 0.8731")
    steps = CURRENCY_DIGITS[reference] - CURRENCY_DIGITS[currency]
    rate = Fraction(text) * Fraction(10) ** steps
    if not 0 < rate <= _RATE_MAX:
        most = float(_RATE_MAX / Fraction(10) ** steps)
        raise ValueError(
            f"rate: one {currency} is worth {text} {reference}: must be above 0 and at "
            f"most {most:g}; is it the wrong way round?"
        )
    scaled = rate * RATE_SCALE
    if scaled.denominator != 1:
        digits = rate_digits(currency, reference)
        raise ValueError(
            f"rate: {text} has more than {digits} decimals; round it to so many"
        )
    return int(scaled)
