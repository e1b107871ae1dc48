"""What a rule may read: the transaction, features, limits, lists and the score."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum

from scoring.core.transaction.event_time import OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN
from scoring.core.transaction.transaction import (
    AMOUNT_MINOR_MAX,
    ATTEMPT_MAX,
    Channel,
    EntryMode,
)

_FEATURE = re.compile(r"\bfeatures\.(\w+)")
FLOAT32_MAX = 3.5e38  # features are float32


class Type(Enum):
    """CEL's name of a type."""

    INTEGER = "int"
    REAL = "double"
    TEXT = "string"


@dataclass(frozen=True, slots=True)
class Input:
    """One named value: its type, where Python finds it, and its limits.

    A number that is known lies between `low` and `bound`. An unknown number is NaN
    and an unknown text is empty.
    """

    type: Type
    source: str
    bound: float = 0.0
    low: float = 0.0


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
        AMOUNT_MINOR_MAX,
    ),
    "attempt": Input(Type.INTEGER, "(t.attempt or NAN)", ATTEMPT_MAX, low=1),
    "occurred_at_ms": Input(
        Type.INTEGER, "t.occurred_at_ms", OCCURRED_AT_MS_MAX, low=OCCURRED_AT_MS_MIN
    ),
    "channel": Input(Type.TEXT, "CHANNELS.get(t.channel, '')"),
    "entry_mode": Input(Type.TEXT, "ENTRY_MODES.get(t.entry_mode, '')"),
    **{name: Input(Type.TEXT, f"t.{name}") for name in _TEXTS},
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The names that rules of one policy may use.

    `features` is the model vector's order; `windowed` are those that fall when
    time passes. A limit is an int where its name ends in _minor, else a double; its
    number is given where it is the same for every transaction. Lists come with their
    tokens.
    """

    features: tuple[str, ...]
    windowed: frozenset[str] = frozenset()
    limits: Mapping[str, float | None] = field(default_factory=dict)
    lists: Mapping[str, Collection[str]] = field(default_factory=dict)


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
