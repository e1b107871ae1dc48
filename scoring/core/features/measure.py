"""What each column keeps of one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import sha256
from typing import Any

from scoring.core.fast_init import fast_init
from scoring.core.features.event_fields import EVENT_FIELDS, KNOWN_AT
from scoring.core.features.expression import parse_filter
from scoring.core.features.readable import (
    in_steps,
    measured_python,
    readable,
    text_python,
)
from scoring.core.features.slot import GIVEN, KNOWN, NORMAL, Column, Kind
from scoring.core.generated_code import function_from
from scoring.core.transaction.transaction import Transaction

# (transaction, its amount in the reference currency) -> a value for each reading
Read = Callable[[Transaction, int | None], tuple[Any, ...]]
LIMB_BITS = 40  # a square of up to 87 bits in two limbs of at most 47
_HASHES_MAX = 65_536


@lru_cache(maxsize=_HASHES_MAX)
def counterpart_hash(text: str) -> int:
    """48 bits of a text, never 0, which means "unknown".

    >>> 0 < counterpart_hash("merchant-1") < 2**48
    True
    """
    return int.from_bytes(sha256(text.encode()).digest()[:6], "big") or 1


@fast_init
@dataclass(frozen=True, slots=True)
class DecidedTransaction(Transaction):
    """A transaction whose recorded outcome ("APPROVE", "DECLINE" …) is known."""

    outcome: str = ""

    @classmethod
    def from_transaction(
        cls, transaction: Transaction, outcome: str
    ) -> DecidedTransaction:
        """The same transaction, with what was decided of it.

        >>> transaction = Transaction("default", "t1")
        >>> DecidedTransaction.from_transaction(transaction, "DECLINE").outcome
        'DECLINE'
        """
        return _decided(transaction, outcome)


_own = ", ".join(f"t.{f.name}" for f in fields(Transaction))
_decided: Callable[[Transaction, str], DecidedTransaction] = function_from(
    f"def decided(t, outcome): return cls({_own}, outcome)",
    "decided",
    {"cls": DecidedTransaction},
)


@dataclass(frozen=True, slots=True)
class HappenedTransaction(Transaction):
    """A transaction with one lifecycle event of it; `happened` makes it."""

    event: str = ""
    issuer_outcome: str = ""
    issuer_code: str = ""
    three_ds_result: str = ""
    event_amount: int | None = None
    event_known_at_ms: int = 0


def reading(column: Column) -> str:
    """What a column keeps of a transaction, as Python over `t` and `amount`.

    It is None where the transaction has no value there; see `Kind`.
    """
    text = _text(column)
    if column == KNOWN:
        return f"({text} if isinstance(t, HappenedTransaction) else None)"
    if not column.filter:
        return text
    passes = parse_filter(column.filter).python
    if column.by_outcome:
        passes = f"isinstance(t, DecidedTransaction) and {passes}"
    elif column.by_event:
        passes = f"isinstance(t, HappenedTransaction) and {passes}"
    return f"({text} if ({passes}) is True else None)"


def reader(*readings: str) -> Read:
    """A function that reads several columns at once.

    >>> reader("t.id", "amount")(Transaction("default", "t1"), 5)
    ('t1', 5)
    """
    names = {
        "counterpart_hash": counterpart_hash,
        "in_steps": in_steps,
        "DecidedTransaction": DecidedTransaction,
        "HappenedTransaction": HappenedTransaction,
    }
    listed = "".join(f"{text}, " for text in readings)
    source = f"def read(t, amount): return ({listed})"
    read: Read = function_from(source, "read", names)
    return read


def needs(column: Column) -> tuple[Column, ...]:
    """The other columns that a column rests on.

    A fold is made again when an event arrives late, so what it was made from is kept.
    """
    if column.kind in {*NORMAL, Kind.UNUSUAL}:
        m = column.measure
        own = [Column(k, m, column.filter) for k in (Kind.SUM, Kind.COUNT)]
        folds = [Column(k, m, column.filter, column.trim) for k in NORMAL]
        return (*own, *folds)
    if column.kind is not Kind.LAST:
        return ()
    if column.measure in _PLACE:
        return (Column(Kind.LAST, "located_at"),)
    return (Column(Kind.COUNTERPART, column.measure),)


def _text(column: Column) -> str:
    if column.kind is Kind.FIRST:
        return "t.occurred_at_ms"
    if column.kind is Kind.LAST and column.measure in _PLACE:
        return _PLACE[column.measure]
    if column.kind in {Kind.LAST, Kind.COUNTERPART}:
        text = text_python(column.measure)
        return f"(counterpart_hash(text) if (text := {text}) else None)"
    if column.kind is Kind.COUNT:
        if not column.measure:
            return "1"
        return f"(None if {_number(column.measure)} is None else 1)"
    return _number(column.measure)


_PLACE = {
    "latitude": "t.latitude",
    "longitude": "t.longitude",
    "located_at": "(None if t.latitude is None else t.occurred_at_ms)",
}
_PARTS = {  # of a square, in two limbs
    "^2 high": f"v * v >> {LIMB_BITS}",
    "^2 low": f"v * v & {(1 << LIMB_BITS) - 1}",
}


def _number(measure: str) -> str:
    for ending, part in _PARTS.items():
        if measure.endswith(ending):
            of = _number(measure.removesuffix(ending))
            return f"(None if (v := {of}) is None else {part})"
    if measure.startswith("-"):
        return f"(None if (v := {_number(measure[1:])}) is None else -v)"
    if measure.endswith(GIVEN):
        return readable(measure.removesuffix(GIVEN)).python
    if measure == KNOWN_AT:
        return f"t.{KNOWN_AT}"
    if measure in EVENT_FIELDS:
        return EVENT_FIELDS[measure].python
    return measured_python(measure)
