"""Canonical JSON to protobuf messages; what is said twice is refused."""

from __future__ import annotations

import json
import re
from functools import lru_cache
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
_OFFSET = re.compile(r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z", re.ASCII)
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
    try:
        return json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_each_once)
    except InvalidTransaction:
        raise
    except UnicodeDecodeError as error:
        raise InvalidTransaction("", "the bytes are not UTF-8 JSON") from error
    except Exception as error:  # deep nesting, a number of 5,000 digits
        raise _refusal(str(error), kind) from error


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


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidTransaction(_plain(twice), "is given twice; send it once")
    return said


def _refuse_odd(said: Any, descriptor: Any, path: str) -> None:
    """Raise `InvalidTransaction` for what the parser would let pass.

    A field under both of its names, what is no object, and a time whose offset is
    none; all else is left to the parser.
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
        if field.message_type is not None:
            _look_within(value, field, f"{path}{name}.")


def _look_within(value: Any, field: Any, path: str) -> None:
    within = field.message_type
    if within.GetOptions().map_entry:
        within = within.fields_by_name["value"].message_type
        value = list(value.values()) if isinstance(value, dict) else []
    if within is None:
        return
    many = field.is_repeated and isinstance(value, list)
    for one in value if many else [value]:
        if within.full_name == _TIMESTAMP:
            _refuse_offset(one, path.removesuffix("."))
        else:
            _refuse_odd(one, within, path)


def _refuse_offset(time: Any, field: str) -> None:
    if isinstance(time, str) and not _OFFSET.search(time):
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
    path, within = ".".join(names), kind.DESCRIPTOR
    for name in names:
        field = _fields_of(within).get(name) if within is not None else None
        if field is None:
            kind_meant = (within or kind.DESCRIPTOR).full_name
            return InvalidTransaction(
                path, f"is not a field of {kind_meant}, or not of its type"
            )
        within = field.message_type
    return InvalidTransaction(path, f"must be {_shape_of(field)}")


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
