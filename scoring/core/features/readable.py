"""What definitions may read of a payment, by name: each text and number once.

A name is a field's ("email"), or one of the caller's own ("attributes.loyalty_id"). It
is read as Python and as SQL; in tables a name of the caller's own is a column, which
`keyed_columns` makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from math import floor
from operator import attrgetter

from scoring.core.features.bounds import ANY, POSITIVE, Bounds, known_between
from scoring.core.generated_code import function_from
from scoring.core.transaction.fields import Field, FieldType, Role, names
from scoring.core.transaction.transaction import (
    FIELD_OF,
    FIELDS,
    MAP_FIELDS,
    READ_FIELDS,
    Transaction,
)

_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000
_THURSDAY = 3  # 1970-01-01, with Monday 0
PAYMENT = "payment"  # its payment id, or the id of a lone attempt

# The tenant is not: every statistic is one tenant's.
TEXT_FIELDS = tuple(
    f.name for f in READ_FIELDS if f.is_text and f.role is not Role.SCOPE
)
_MEMBERS = {f.name: f.member_names for f in FIELDS if f.members}
TEXTS_BY_KEY = names(FIELDS, FieldType.TEXTS)


@dataclass(frozen=True, slots=True)
class Readable:
    """One text or number: Python over `t` and `amount`, None unknown; SQL, NULL.

    `amount` is the amount in the reference currency, minor units.
    """

    name: str
    kind: str  # "text" or "number"
    python: str
    sql: str
    bounds: Bounds = ANY


def _text(field: Field) -> Readable:
    name = field.name
    return Readable(name, "text", f"(t.{name} or None)", f"nullif({name}, '')")


def _member(field: Field) -> Readable:
    listed = ", ".join(f"'{member}'" for member in field.member_names.values())
    python = f"(None, {listed})[t.{field.name}]"
    return Readable(field.name, "text", python, f"([{listed}])[{field.name}]")


def _number(field: Field) -> Readable:
    python, sql = f"t.{field.name}", field.name
    if field.absent is not None:
        python, sql = f"({python} or None)", f"nullif({sql}, 0)"
    return Readable(field.name, "number", python, sql, known_between(field))


def _of_time(name: str, unit_ms: int, turn: int, first: int = 0) -> Readable:
    def of(time: str) -> str:
        past = f"{time} // {unit_ms}"
        return f"(({past} + {first}) % {turn})" if first else f"({past} % {turn})"

    bounds = Bounds(0, turn - 1, whole=True)
    python, sql = of("t.occurred_at_ms"), of("occurred_at_ms")
    return Readable(name, "number", python, sql, bounds)


_READABLE = {
    **{name: _text(FIELD_OF[name]) for name in TEXT_FIELDS},
    **{name: _member(FIELD_OF[name]) for name in _MEMBERS},
    "amount": Readable("amount", "number", "amount", "amount", POSITIVE),
    "hour": _of_time("hour", _HOUR_MS, 24),
    "weekday": _of_time("weekday", _DAY_MS, 7, _THURSDAY),
    **{
        f.name: _number(f)
        for f in FIELDS
        if f.type in {FieldType.WHOLE, FieldType.REAL}
    },
}
# What statistics add up and compare.
MEASURES = ("amount", *names(FIELDS, FieldType.WHOLE))
# A named number is added up and compared in whole steps of 1/10,000, so that sums are
# exact in any order; one beyond 10^9 does not fit, and is unknown to statistics.
STEPS = 10_000
FITS_MAX = 1e9
_MEASURED_KEY = re.compile(r"\w+\.[\w .:/-]{1,64}")


def readable(name: str) -> Readable:
    """What a name means; raises `ValueError` with the nearest right one.

    >>> readable("device").sql
    "nullif(device, '')"
    >>> readable("attributes.plan").python
    "(t.attributes.get('plan') or None)"
    """
    found = _READABLE.get(name)
    if found:
        return found
    of, _, key = name.partition(".")
    if of in MAP_FIELDS:
        return _by_key(name, of, key)
    raise ValueError(f"unknown field {name!r}{_hint(name)}")


def _by_key(name: str, of: str, key: str) -> Readable:
    if why := _wrong_key(of, key):
        raise ValueError(f"{name!r}: {why}")
    python, sql = f"t.{of}.get({key!r})", column_of(name)
    if of in TEXTS_BY_KEY:
        return Readable(name, "text", f"({python} or None)", f"nullif({sql}, '')")
    return Readable(name, "number", python, sql)


def _wrong_key(of: str, key: str) -> str:
    most = FIELD_OF[of].key_characters_max
    return "" if 1 <= len(key) <= most else f"a key has 1-{most} characters"


def _hint(name: str) -> str:
    close = get_close_matches(name, _READABLE, n=1)
    known = ", ".join((*_READABLE, *(f"{of}.<key>" for of in MAP_FIELDS)))
    return f"; did you mean {close[0]!r}?" if close else f"; known: {known}"


def require_measure(name: str) -> None:
    """Raise `ValueError` for what statistics cannot add up or compare."""
    if name not in MEASURES and not (is_keyed(name) and not name_is_text(name)):
        of = [f"{of}.<key>" for of in MAP_FIELDS if of not in TEXTS_BY_KEY]
        raise ValueError(f"no measure {name!r}; known: {', '.join((*MEASURES, *of))}")
    if name not in MEASURES and not _MEASURED_KEY.fullmatch(name):
        raise ValueError(f"{name!r}: the key of a measure has letters, digits, _ - . :")
    readable(name)


def name_is_text(name: str) -> bool:
    """Whether a name of the caller's own is a text, not a number."""
    return name.partition(".")[0] in TEXTS_BY_KEY


def measured_python(name: str) -> str:
    """A measure as a whole number, as Python; None unknown."""
    found = readable(name).python
    return f"in_steps({found})" if is_keyed(name) else found


def in_steps(number: float | None) -> int | None:
    """A named number in whole steps, the nearest; None where it does not fit.

    >>> in_steps(0.1), in_steps(-2.5), in_steps(1e12)
    (1000, -25000, None)
    """
    if number is None or not -FITS_MAX <= number <= FITS_MAX:
        return None
    return floor(number * STEPS + 0.5)


def measured_sql(name: str) -> str:
    """The same as SQL, NULL unknown."""
    found = readable(name).sql
    if not is_keyed(name):
        return found
    fits = f"{found} BETWEEN {-FITS_MAX!r} AND {FITS_MAX!r}"
    return f"CASE WHEN {fits} THEN floor({found} * {STEPS}::DOUBLE + 0.5)::BIGINT END"


def require_text(name: str) -> None:
    """Raise `ValueError` for what is no text that can name an entity or be counted."""
    if name in _MEMBERS or readable(name).kind != "text":
        known = ", ".join((*TEXT_FIELDS, *(f"{of}.<key>" for of in TEXTS_BY_KEY)))
        raise ValueError(f"{name!r} is no text; known: {known}")


def text_python(name: str) -> str:
    """A text that names an entity or a counterpart, as Python; None or "" unknown.

    >>> text_python("payment"), text_python("card")
    ('(t.payment_id or t.id)', '(t.card or None)')
    """
    return "(t.payment_id or t.id)" if name == PAYMENT else readable(name).python


def text_sql(name: str) -> str:
    """The same as SQL, NULL unknown."""
    if name == PAYMENT:
        return "nullif(coalesce(nullif(payment_id, ''), id), '')"
    return readable(name).sql


@cache
def text_of(name: str) -> Callable[[Transaction], str]:
    """A function that reads such a text; "" unknown.

    >>> text_of("payment")(Transaction("default", "t1"))
    't1'
    """
    source = f"def read(t): return {text_python(name)} or ''"
    read: Callable[[Transaction], str] = function_from(source, "read", {})
    return read


Tokens = Callable[[Transaction], tuple[str, ...]]


@cache
def tokens_of(fields: tuple[str, ...]) -> Tokens:
    """A function that reads what names an entity; () where a part is not known.

    >>> tokens_of(("card", "attributes.plan"))(
    ...     Transaction("default", "t1", card="c1", attributes={"plan": "gold"}))
    ('c1', 'gold')
    """
    if not any(is_keyed(field) for field in fields):
        return _of_fields(attrgetter(*fields), single=len(fields) == 1)
    reads = [text_of(field) for field in fields]

    def tokens(t: Transaction) -> tuple[str, ...]:
        found = tuple([read(t) for read in reads])
        return found if all(found) else ()

    return tokens


def _of_fields(read: Callable[[Transaction], object], *, single: bool) -> Tokens:
    def tokens(t: Transaction) -> tuple[str, ...]:
        found: tuple[str, ...] = (read(t),) if single else read(t)  # type: ignore[assignment]
        return found if all(found) else ()

    return tokens


# Tables ----------------------------------------------------------------------


def is_keyed(name: str) -> bool:
    """Whether a name is one of the caller's own."""
    return name.partition(".")[0] in MAP_FIELDS and "." in name


def column_of(name: str) -> str:
    """The column of a text or number in tables, as SQL.

    SQL does not tell capitals from small letters: those are written out.

    >>> column_of("card"), column_of("attributes.Plan")
    ('card', '"attributes.%50lan"')
    """
    if not is_keyed(name):
        return name
    return '"' + re.sub(r"[^a-z0-9_.-]", lambda c: f"%{ord(c[0]):x}", name) + '"'


def keyed_columns(keyed: Iterable[str], present: Mapping[str, str]) -> list[str]:
    r"""The select list that gives each name of the caller's own its column.

    `present` are the columns that a table has and their types: what holds texts or
    numbers by their keys is a map, or a text of JSON; without it nothing is known.

    >>> keyed_columns(["attributes.plan"], {"attributes": "VARCHAR"})
    ['json_extract_string(attributes, \'/plan\') AS "attributes.plan"']
    """
    return [
        f"{entry_sql(name, present)} AS {column_of(name)}"
        for name in keyed
        if column_of(name).strip('"') not in present
    ]


def entry_sql(name: str, present: Mapping[str, str]) -> str:
    """A text or number under a key as SQL, by the columns that a table has."""
    of, _, key = name.partition(".")
    type_, number = present.get(of, ""), of not in TEXTS_BY_KEY
    if type_.startswith("MAP"):
        return f"{of}[{_literal(key)}]"
    if type_:
        pointer = _literal("/" + key.replace("~", "~0").replace("/", "~1"))
        text = f"json_extract_string({of}, {pointer})"
        return f"{text}::DOUBLE" if number else text
    return "NULL::DOUBLE" if number else "NULL::VARCHAR"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
