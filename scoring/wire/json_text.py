"""Canonical JSON to protobuf messages; what is said twice is refused."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache, partial
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from scoring.core.transaction.card_number import holds_card_number
from scoring.errors import InvalidTransaction

_TIMESTAMP = "google.protobuf.Timestamp"
_SHAPES = {
    FieldDescriptor.CPPTYPE_STRING: "a text in quotes, of whole characters",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
}
M = TypeVar("M", bound=Message)
_DEPTH_MAX = 16
# RFC 3339 5.6; the parser takes any hours and minutes, and moves the time by days.
_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
# RFC 8259 6, and ProtoJSON's three texts; the parser takes what Python would read.
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?|NaN|-?Infinity", re.ASCII)
_NO_NUMBERS = {
    FieldDescriptor.CPPTYPE_STRING,
    FieldDescriptor.CPPTYPE_BOOL,
    FieldDescriptor.CPPTYPE_MESSAGE,
}
# How the parser says where it stopped.
_WITHIN = re.compile(r"Failed to parse (\S+) field: ")
_UNKNOWN = re.compile(r'has no field named "([^"]*)" at ')
_AT = re.compile(r" at \w+\.([\w.]*\w)\.*\Z")
_NAME_CHARS_MAX = 64  # of a field's name that is repeated to whoever sent it


def message_from_json(raw: bytes, kind: type[M]) -> M:
    """Parse one message, with or without a byte order mark.

    Raises `InvalidTransaction`: for an unknown field, and for one that is given
    twice, be it under both of its names.
    """
    return message_from_value(value_from_json(raw, kind), kind)


def value_from_json(raw: bytes, kind: type[Message]) -> Any:
    """What JSON says, each name once; raises `InvalidTransaction`.

    `kind` is the message that it is meant to be.
    """
    twice: list[tuple[dict[str, Any], str]] = []
    try:
        said = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=partial(_object, twice)
        )
    except UnicodeDecodeError as error:
        raise InvalidTransaction("", "the bytes are not UTF-8 JSON") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidTransaction("", f"is no JSON from {where} on") from error
    except Exception as error:  # deep nesting, a number of 5,000 digits
        raise _refusal(str(error), kind) from error
    if twice:  # the last: no other that is given twice has swallowed it
        field = _path_to(*twice[-1], said, kind)
        raise InvalidTransaction(field, "is given twice; send it once")
    return said


def message_from_value(said: Any, kind: type[M]) -> M:
    """One message of what JSON says; raises `InvalidTransaction`."""
    message = kind()
    try:
        _refuse_odd(said, kind.DESCRIPTOR, "")
        json_format.ParseDict(said, message, max_recursion_depth=_DEPTH_MAX)
    except InvalidTransaction:
        raise
    except Exception as error:  # the parser lets through whatever Python raises
        raise _refusal(str(error), kind) from error
    return message


def _object(
    twice: list[tuple[dict[str, Any], str]], pairs: list[tuple[str, Any]]
) -> dict[str, Any]:
    """An object of JSON; where a name is given twice, both are noted."""
    said = dict(pairs)
    if len(said) < len(pairs):
        names = Counter(name for name, _ in pairs)
        twice.append((said, next(name for name in names if names[name] > 1)))
    return said


def _path_to(holder: Any, name: str, said: Any, kind: type[Message]) -> str:
    """The way to a name in an object within `said`, as the contract spells it."""
    left: list[tuple[Any, Any, str]] = [(said, kind.DESCRIPTOR, "")]
    while left:
        here, descriptor, path = left.pop()
        if here is holder:
            return _within(path, name, descriptor)[0]
        if isinstance(here, list):
            left += [(one, descriptor, path) for one in here]
        elif isinstance(here, dict):
            for each, value in here.items():
                further, within = _within(path, each, descriptor)
                left.append((value, within, further))
    return _plain(name)


def _within(path: str, name: str, descriptor: Any) -> tuple[str, Any]:
    """The way to a name in a message, and the message that is there, if one is."""
    field = _fields_of(descriptor).get(name) if descriptor is not None else None
    spelled = _plain(name) if field is None else field.name
    way = ".".join(part for part in (path, spelled) if part)
    return way, None if field is None else field.message_type


def _refuse_odd(said: Any, descriptor: Any, path: str) -> None:
    """Raise `InvalidTransaction` for what the parser would let pass.

    A field under both of its names, what is no object, a time that is none in RFC
    3339, and a number or a name that only Python reads as one (`true`, "1_000", 1.7
    of a name); all else is left to the parser.
    """
    if isinstance(said, list | str):  # to the parser their parts are names of fields
        kind = descriptor.full_name
        raise InvalidTransaction(path.rstrip("."), f"must be an object, a {kind}")
    if not isinstance(said, dict):
        return
    fields = _fields_of(descriptor)
    met: dict[int, str] = {}
    for name, value in said.items():
        field = fields.get(name)
        if field is None:
            continue
        if field.number in met:
            raise InvalidTransaction(
                path + field.name,
                f"is given twice, as {met[field.number]} and as {name}; send it once",
            )
        met[field.number] = name
        _look_within(value, field, path + field.name)


def _look_within(value: Any, field: Any, path: str) -> None:
    within = field.message_type
    if within is not None and within.GetOptions().map_entry:
        each = within.fields_by_name["value"]
        for key, one in value.items() if isinstance(value, dict) else ():
            _refuse_odd_value(one, each, f"{path}.{key}" if _plain(key) else path)
    elif field.is_repeated and isinstance(value, list):
        for one in value:
            _refuse_odd_value(one, field, path)
    else:
        _refuse_odd_value(value, field, path)


def _refuse_odd_value(value: Any, field: Any, path: str) -> None:
    within = field.message_type
    if within is None:
        if field.cpp_type not in _NO_NUMBERS and _is_no_number(value, field.enum_type):
            raise InvalidTransaction(path, f"must be {_shape_of(field)}")
    elif within.full_name == _TIMESTAMP:
        _refuse_odd_time(value, path)
    else:
        _refuse_odd(value, within, f"{path}.")


def _is_no_number(value: Any, names: Any) -> bool:
    """Whether JSON has neither a number there nor, where there are any, a name."""
    if isinstance(value, str):
        named = names is not None and value in names.values_by_name
        return not named and not _NUMBER.fullmatch(value)
    if isinstance(value, float):
        return names is not None and not value.is_integer()
    return isinstance(value, bool)


def _refuse_odd_time(time: Any, field: str) -> None:
    if isinstance(time, str) and not _TIME.fullmatch(time):
        raise InvalidTransaction(
            field,
            'must be a time such as "2026-03-01T12:00:00Z"; instead of Z it may end '
            "in an offset such as +02:00, of at most 23:59",
        )


@lru_cache
def _fields_of(descriptor: Any) -> dict[str, Any]:
    """The fields of a message under each of the names that JSON may give them."""
    named = {field.name: field for field in descriptor.fields}
    return named | {field.json_name: field for field in descriptor.fields}


def _refusal(problem: str, kind: type[Message]) -> InvalidTransaction:
    names = _names_in(problem)
    if not names or not all(map(_plain, names)):
        return InvalidTransaction("", f"the JSON is not a {kind.DESCRIPTOR.full_name}")
    path: list[str] = []
    within = kind.DESCRIPTOR
    for name in names:
        field = _fields_of(within).get(name) if within is not None else None
        if field is None:
            kind_meant = (within or kind.DESCRIPTOR).full_name
            told = f"is not a field of {kind_meant}, or not of its type"
            hint = _place_of(name, within) if within is not None else ""
            return InvalidTransaction(".".join([*path, name]), told + hint)
        path.append(field.name)
        within = field.message_type
    return InvalidTransaction(".".join(path), f"must be {_shape_of(field)}")


def _place_of(name: str, descriptor: Any) -> str:
    """Where a message has a field within another that it holds, else "".

    >>> from scoring.v1.fraud_scoring_pb2 import ReportEventsRequest
    >>> _place_of("eventId", ReportEventsRequest.DESCRIPTOR)
    '; it goes into {"events": [{"eventId": …}]}'
    """
    for field in descriptor.fields:
        inner = field.message_type
        if inner is None or inner.full_name == _TIMESTAMP:
            continue
        if name in _fields_of(inner) and not inner.GetOptions().map_entry:
            place = f'{{"{name}": …}}'
            place = f"[{place}]" if field.is_repeated else place
            return f'; it goes into {{"{field.json_name}": {place}}}'
    return ""


def _shape_of(field: Any) -> str:
    """What a field is written like in JSON.

    >>> from scoring.v1.transaction_pb2 import Transaction
    >>> _shape_of(Transaction.DESCRIPTOR.fields_by_name["occurred_at"])
    'a time such as "2026-03-01T12:00:00Z"'
    """
    if field.enum_type is not None:
        words = ", ".join(value.name for value in field.enum_type.values[1:])
        return f"one of {words}"
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            each = _shape_of(field.message_type.fields_by_name["value"])
            return f"an object, each value {each}"
        time = field.message_type.full_name == _TIMESTAMP
        return 'a time such as "2026-03-01T12:00:00Z"' if time else "an object"
    return _SHAPES.get(field.cpp_type, "a whole number")


def _names_in(problem: str) -> list[str]:
    """The way to a field in json_format's sentence; empty where it has none.

    >>> _names_in("Failed to parse location field: Failed to parse latitude field: no")
    ['location', 'latitude']

    Of a field with presence it gives the way at the end alone.

    >>> _names_in("Couldn't parse integer: 4.5 at Transaction.amountMinor")
    ['amountMinor']
    """
    names, rest = [], problem
    while found := _WITHIN.match(rest):
        names.append(found[1])
        rest = rest[found.end() :]
    if unknown := _UNKNOWN.search(rest):
        return [*names, unknown[1]]
    if at := _AT.search(rest):
        return at[1].split(".")
    return names


def _plain(name: str) -> str:
    """A name that may be repeated; empty for one that no field could have."""
    plain = name.isidentifier() and name.isascii() and len(name) <= _NAME_CHARS_MAX
    return name if plain and not holds_card_number(name) else ""
