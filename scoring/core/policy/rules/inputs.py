"""What a rule may read: the transaction, features, limits, lists and the score."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum

from scoring.core.features.bounds import ANY, Bounds
from scoring.core.transaction.event_time import OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN
from scoring.core.transaction.transaction import (
    AMOUNT_MINOR_MAX,
    ATTEMPT_MAX,
    Channel,
    EntryMode,
)

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


CHANNELS = {int(channel): channel.name for channel in Channel if channel}
ENTRY_MODES = {int(mode): mode.name for mode in EntryMode if mode}
_TEXTS = (
    "tenant", "id", "payment_id", "currency", "card", "customer", "merchant",
    "terminal", "device", "merchant_category", "card_country", "merchant_country",
    "ip_country",
)  # fmt: skip
TRANSACTION: Mapping[str, Input] = {
    "amount_minor": Input(
        Type.INTEGER,
        "(NAN if t.amount_minor is None else t.amount_minor)",
        Bounds(0, AMOUNT_MINOR_MAX, whole=True),
    ),
    "attempt": Input(
        Type.INTEGER, "(t.attempt or NAN)", Bounds(1, ATTEMPT_MAX, whole=True)
    ),
    "occurred_at_ms": Input(
        Type.INTEGER,
        "t.occurred_at_ms",
        Bounds(OCCURRED_AT_MS_MIN, OCCURRED_AT_MS_MAX, whole=True),
        required=True,
    ),
    "channel": Input(Type.TEXT, "CHANNELS.get(t.channel, '')"),
    "entry_mode": Input(Type.TEXT, "ENTRY_MODES.get(t.entry_mode, '')"),
    **{
        name: Input(Type.TEXT, f"t.{name}", required=name in {"tenant", "id"})
        for name in _TEXTS
    },
}


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
