"""What the text of one cell means: exactly, or a refusal that says what would fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import IntEnum
from functools import partial
from math import isfinite
from zoneinfo import ZoneInfo

from scoring.core.decision.decision import Outcome
from scoring.core.transaction.codes import CURRENCY_DIGITS
from scoring.core.transaction.fields import FieldType
from scoring.core.transaction.forms import Form
from scoring.core.transaction.transaction import FIELD_CODES, FIELD_OF
from scoring.tables.mapping import (
    TIME_FIELDS,
    LabelReading,
    MoneyReading,
    OutcomeReading,
    TableMapping,
)

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_DAYS = re.compile(r"\d{4}-\d\d-\d\d")
_EXACT = Context(prec=60)  # no amount or instant of ours has as many digits
_DIGITS_MAX = 20  # before the point: more is no time and no amount
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
UNIT_MS = {
    "d": Decimal(86_400_000), "h": Decimal(3_600_000), "m": Decimal(60_000),
    "s": Decimal(1_000), "ms": Decimal(1), "us": Decimal("1e-3"),
    "ns": Decimal("1e-6"),
}  # fmt: skip
USUAL_LABELS = LabelReading(
    fraud=("1", "1.0", "true", "t", "yes", "y", "fraud", "fraudulent"),
    legitimate=(
        "0", "0.0", "false", "f", "no", "n", "legit", "legitimate", "genuine",
        "not fraud", "non-fraud", "nonfraud", "not_fraud",
    ),
)  # fmt: skip
_OUTCOMES = frozenset(known.name.lower() for known in Outcome if known)
# What tools write for "nothing": as a token, all such rows would share it.
_NOTHINGS = frozenset({"nan", "none", "null", "na", "n/a", "<na>", "nat", "\\n"})


class BadCell(ValueError):
    """A cell that cannot mean what its column is for; the message never repeats it."""


PLAIN = MoneyReading()


def number(text: str) -> Decimal:
    """A plain decimal number; raises `BadCell`.

    >>> number("12.50"), number("1e3")
    (Decimal('12.50'), Decimal('1E+3'))
    """
    if not _NUMBER.fullmatch(text):
        raise BadCell("must be a number such as 1234.56")
    value = _EXACT.create_decimal(text)
    if value.adjusted() > _DIGITS_MAX:
        raise BadCell("is too large a number")
    return value


def instant(text: str, mapping: TableMapping) -> int:
    """Milliseconds since 1970, truncated; raises `BadCell`.

    Numbers count the mapping's unit from its origin; other texts are of the
    mapping's format, or ISO 8601 with or without a zone.
    """
    how = mapping.time
    if how.format:
        return _ms(_of_format(text, how.format), how.zone)
    if _NUMBER.fullmatch(text):
        counted = number(text) * UNIT_MS[how.unit or mapping.time_unit]
        return _ms(how.origin, "UTC") + int(counted // 1)
    return _ms(iso(text), how.zone)


def iso(text: str) -> datetime:
    """An ISO 8601 time, with a zone or without; raises `BadCell`.

    >>> iso("2024-03-01 10:00").isoformat()
    '2024-03-01T10:00:00'
    """
    if not _DAYS.match(text):
        raise BadCell(
            "is no ISO 8601 time such as 2024-03-01T10:00:00Z; say its format in the "
            'mapping, as in time: {format: "%d/%m/%Y %H:%M"}'
        )
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError as error:
        raise BadCell("is no time that there is") from error


def _of_format(text: str, form: str) -> datetime:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 the mapping has the zone
    except ValueError as error:
        raise BadCell(f"is no time of the format {form!r}") from error


def _ms(at: datetime, zone: str) -> int:
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
    return (at - _EPOCH) // _MICROSECOND // 1_000


def minor_digits(currency: str) -> int:
    """How many decimal digits a currency's minor unit has.

    Two for a code that is none: its row is refused with the currency's name.

    >>> minor_digits("EUR"), minor_digits("JPY"), minor_digits("KWD")
    (2, 0, 3)
    """
    return CURRENCY_DIGITS.get(currency, 2)


def amount_minor(text: str, digits: int, money: MoneyReading = PLAIN) -> int:
    """Major units as text to whole minor units, half to even, without a float.

    >>> amount_minor("57.16", 2), amount_minor("1.005", 2), amount_minor("1.015", 2)
    (5716, 100, 102)
    >>> amount_minor("$1,234.50", 2, MoneyReading(decimal=".", symbol="$"))
    123450
    """
    value = number(_plain(text, money)).scaleb(digits, _EXACT)
    return int(value.quantize(Decimal(1), ROUND_HALF_EVEN, _EXACT))


def whole(text: str) -> int:
    """A whole number, such as an amount in minor units; raises `BadCell`.

    >>> whole("4999"), whole("4999.0")
    (4999, 4999)
    """
    value = number(text)
    if value != value.to_integral_value():
        raise BadCell("must be a whole number")
    return int(value)


def _plain(text: str, money: MoneyReading) -> str:
    """An amount without its symbol and the marks between its thousands."""
    sign = "-" if text.startswith("-") else ""
    bare = text.removeprefix("-")
    if money.symbol:
        bare = bare.removeprefix(money.symbol).removesuffix(money.symbol).strip()
    if bare.startswith("-") and not sign:
        sign, bare = "-", bare[1:]
    if not money.decimal:
        if not _NUMBER.fullmatch(bare):
            raise BadCell(
                "must be a number such as 1234.56; say how amounts are written in the "
                'mapping, as in money: {decimal: ",", symbol: €}'
            )
        return sign + bare
    between = "," if money.decimal == "." else "."
    grouped = rf"(\d{{1,3}}(\{between}\d{{3}})+|\d+)(\{money.decimal}\d+)?"
    if not re.fullmatch(grouped, bare, re.ASCII):
        raise BadCell(f"is no amount whose decimal mark is {money.decimal!r}")
    return sign + bare.replace(between, "").replace(money.decimal, ".")


def real(text: str) -> float:
    """A finite number, as near as a float comes; raises `BadCell`."""
    value = float(number(text))
    if not isfinite(value):
        raise BadCell("must be a number")
    return value


def code(field: str, text: str) -> str:
    """A code of a closed set, whatever its case; others are left to the doors.

    >>> code("currency", "usd"), code("currency", "dollars")
    ('USD', 'dollars')
    """
    upper = text.upper()
    return upper if FIELD_CODES[field].holds(upper) else text


def token(text: str) -> str:
    """A token as it is written; raises `BadCell` for what tools write for nothing,
    and for what no token of the doors can hold.
    """
    if not text.isprintable():
        raise BadCell("holds a line break, or another character that is not printed")
    if text.lower() in _NOTHINGS:
        raise BadCell(
            "reads as a missing value, which all such rows would share; leave the "
            "cell empty, or name the text in the mapping, as in missing: [nan]"
        )
    return text


def spelled(form: Form, text: str) -> str:
    """A token in the one spelling of its form; others are left to the doors.

    >>> from scoring.core.transaction.forms import IP
    >>> spelled(IP, "2001:DB8::1")
    '2001:db8::1'
    """
    return form.spelled(token(text))


def unrounded(text: str) -> str:
    """A token that a column of floats holds; raises `BadCell` where digits are lost."""
    if "e" in text:
        raise BadCell("has more digits than a float holds; write the column as text")
    return text


def member(names: type[IntEnum], text: str) -> int:
    """A member by its name or number; raises `BadCell`.

    >>> from scoring.core.transaction.transaction import Channel
    >>> member(Channel, "atm") == member(Channel, "3") == Channel.ATM
    True
    """
    known = names.__members__.get(text.upper())
    return whole(text) if known is None else int(known)


def fraud(text: str, labels: LabelReading | None) -> bool | None:
    """What a label says; None where it says nothing that is known.

    >>> fraud("Yes", None), fraud("0", None), fraud("-1", None), fraud("0.4", None)
    (True, False, None, None)
    """
    word, known = (text, labels) if labels else (text.strip().lower(), USUAL_LABELS)
    if word in known.fraud:
        return True
    return False if word in known.legitimate else None


def outcome(text: str, outcomes: OutcomeReading | None) -> str:
    """What was decided, by our name for it; empty where nothing known is said.

    >>> outcome("DECLINE", None), outcome("refused", None)
    ('decline', '')
    >>> outcome("refused", OutcomeReading(decline=("refused",)))
    'decline'
    """
    if outcomes is not None:
        return outcomes.meanings.get(text, "")
    word = text.strip().lower()
    return word if word in _OUTCOMES else ""


def parser(field: str, mapping: TableMapping) -> Callable[[str], object]:
    """What reads the text of a field; each raises `BadCell`."""
    if field in FIELD_CODES:
        return partial(code, field)
    if field in TIME_FIELDS:
        return partial(instant, mapping=mapping)
    declared = FIELD_OF.get(field)
    if declared is None:
        return token
    if declared.form:
        return partial(spelled, declared.form)
    if declared.members:
        return partial(member, declared.members)
    return {FieldType.WHOLE: whole, FieldType.REAL: real}.get(declared.type, token)
