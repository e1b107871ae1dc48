"""What a rule may read: the transaction, features, limits, lists and the score."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from scoring.core.features.bounds import ANY, Bounds, known_between
from scoring.core.transaction.fields import Field, FieldType
from scoring.core.transaction.transaction import FIELDS, READ_FIELDS

_FEATURE = re.compile(r"\bfeatures\.(\w+)")
FLOAT32 = Bounds(-3.5e38, 3.5e38)  # features are of this type


class Type(Enum):
    """CEL's name of a type."""

    INTEGER = "int"
    REAL = "double"
    TEXT = "string"


@dataclass(frozen=True, slots=True)
class Input:
    """One named value: its type, where Python finds it, and a known number's bounds.

    An unknown number is NaN and an unknown text is empty. One that is `required` is
    never unknown.
    """

    type: Type
    source: str
    bounds: Bounds = ANY
    required: bool = False


# The members of each enumeration by their numbers.
MEMBERS: Mapping[str, Mapping[int, str]] = {
    field.name: field.member_names for field in FIELDS if field.members
}


def inputs_of(fields: Iterable[Field]) -> dict[str, Input]:
    """What rules may read of a transaction, by name.

    >>> inputs_of(READ_FIELDS)["channel"].source
    "MEMBERS_channel.get(t.channel, '')"
    """
    return {field.name: _input(field) for field in fields if field.in_rules}


def _input(field: Field) -> Input:
    value = f"t.{field.name}"
    if field.is_text:
        return Input(Type.TEXT, value, required=field.required)
    if field.type is FieldType.NAME:
        return Input(Type.TEXT, f"MEMBERS_{field.name}.get({value}, '')")
    kind = Type.REAL if field.type is FieldType.REAL else Type.INTEGER
    if field.absent is None:
        value = f"(NAN if {value} is None else {value})"
    elif not field.required:
        value = f"({value} or NAN)"
    return Input(kind, value, known_between(field), required=field.required)


# Maps with keys of the caller's own; the source takes the key.
MAPS: Mapping[str, Input] = {
    field.name: (
        Input(Type.TEXT, f"t.{field.name}.get({{!r}}, '')")
        if field.type is FieldType.TEXTS
        else Input(Type.REAL, f"t.{field.name}.get({{!r}}, NAN)", known_between(field))
    )
    for field in FIELDS
    if field.is_map
}
TRANSACTION: Mapping[str, Input] = inputs_of(READ_FIELDS)


@dataclass(frozen=True, slots=True)
class Schema:
    """The names that rules of one policy may use.

    `features` is the model vector's order; `windowed` are those that fall when
    time passes. A limit is an int where its name ends in _minor, else a double; its
    number is given where it is the same for every transaction. Lists come with their
    tokens. `bounds` are those of features and limits, by their names as rules write
    them; what has none can be any number.
    """

    features: tuple[str, ...]
    windowed: frozenset[str] = frozenset()
    limits: Mapping[str, float | None] = field(default_factory=dict)
    lists: Mapping[str, Collection[str]] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)


def features_in(predicate: str) -> list[str]:
    """The features that a predicate names, in its order.

    >>> features_in("features.amount > 5.0 && has(features.card_age)")
    ['amount', 'card_age']
    """
    return _FEATURE.findall(predicate)


def limit_type(name: str) -> Type:
    """The type of a limit, by its name.

    >>> limit_type("ticket_minor"), limit_type("card_attempts_1h")
    (<Type.INTEGER: 'int'>, <Type.REAL: 'double'>)
    """
    return Type.INTEGER if name.endswith("_minor") else Type.REAL
