"""What each column keeps of one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import sha256

from scoring.core.expression import parse_filter
from scoring.core.statistic import NORMAL, Column, Kind
from scoring.core.transaction import Transaction

Read = Callable[[Transaction, int | None], float | int | None]
LIMB_BITS = 40  # a square of up to 87 bits in two limbs of at most 47
_LIMB_MASK = (1 << LIMB_BITS) - 1
_HASHES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class ColumnReader:
    """`read(transaction, amount)` and the other columns that it rests on.

    None means that the transaction has no value there.
    """

    read: Read
    needs: tuple[Column, ...] = ()


@lru_cache(maxsize=_HASHES_MAX)
def counterpart_hash(text: str) -> int:
    """48 bits of a text, never 0, which stands for "unknown".

    >>> 0 < counterpart_hash("merchant-1") < 2**48
    True
    """
    return int.from_bytes(sha256(text.encode()).digest()[:6], "big") or 1


@dataclass(frozen=True, slots=True)
class Decided(Transaction):
    """A transaction whose recorded outcome ("APPROVE", "DECLINE" …) is known."""

    outcome: str = ""

    @classmethod
    def from_transaction(cls, transaction: Transaction, outcome: str) -> Decided:
        """The same transaction, with what was decided of it.

        >>> Decided.from_transaction(Transaction("default", "t1"), "DECLINE").outcome
        'DECLINE'
        """
        own = {f.name: getattr(transaction, f.name) for f in fields(Transaction)}
        return cls(**own, outcome=outcome)


def text_of(transaction: Transaction, field: str) -> str:
    """A text field; "payment" is the payment id, or the id of a lone attempt.

    >>> text_of(Transaction("default", "t1"), "payment")
    't1'
    """
    if field == "payment":
        return transaction.payment_id or transaction.id
    text: str = getattr(transaction, field)
    return text


def column_reader(column: Column) -> ColumnReader:
    """How a column reads a transaction; see `Kind` for what it keeps."""
    if column.kind in {*NORMAL, Kind.UNUSUAL}:
        return ColumnReader(
            _filtered(column, _measure("amount")), _normal_needs(column)
        )
    if column.kind is Kind.COUNTERPART:
        return ColumnReader(_filtered(column, _counterpart(column.measure)))
    if column.kind is Kind.LAST:
        return ColumnReader(_last(column.measure), _last_needs(column))
    if column.kind is Kind.FIRST:
        return ColumnReader(lambda t, _: t.occurred_at_ms)
    if column.kind is Kind.COUNT:
        return ColumnReader(_filtered(column, _presence(column.measure)))
    return ColumnReader(_filtered(column, _measure(column.measure)))


# A fold is made again when an event arrives late, so what it was made from is kept.
def _normal_needs(column: Column) -> tuple[Column, ...]:
    own = [Column(k, "amount", column.filter) for k in (Kind.SUM, Kind.COUNT)]
    folds = [Column(k, "amount", column.filter, column.trim) for k in NORMAL]
    return (*own, *folds)


def _last_needs(column: Column) -> tuple[Column, ...]:
    if column.measure in {"latitude", "longitude", "located_at"}:
        return (Column(Kind.LAST, "located_at"),)
    return (Column(Kind.COUNTERPART, column.measure),)


def _filtered(column: Column, read: Read) -> Read:
    if not column.filter:
        return read
    passes = parse_filter(column.filter).evaluate
    if column.by_outcome:
        return lambda t, amount: (
            read(t, amount)
            if isinstance(t, Decided) and passes(t, amount) is True
            else None
        )
    return lambda t, amount: read(t, amount) if passes(t, amount) is True else None


def _measure(name: str) -> Read:
    if name.endswith("^2 high"):
        base = _measure(name.removesuffix("^2 high"))
        return lambda t, a: None if (v := base(t, a)) is None else v * v >> LIMB_BITS  # type: ignore[operator]
    if name.endswith("^2 low"):
        base = _measure(name.removesuffix("^2 low"))
        return lambda t, a: None if (v := base(t, a)) is None else v * v & _LIMB_MASK  # type: ignore[operator]
    if name.startswith("-"):
        base = _measure(name[1:])
        return lambda t, a: None if (v := base(t, a)) is None else -v
    if name == "attempt":
        return lambda t, _: t.attempt or None
    return lambda _t, amount: amount


def _presence(measure: str) -> Read:
    if not measure:
        return lambda _t, _a: 1
    base = _measure(measure)
    return lambda t, a: None if base(t, a) is None else 1


def _counterpart(field: str) -> Read:
    def read(t: Transaction, _amount: int | None) -> int | None:
        text = text_of(t, field)
        return counterpart_hash(text) if text else None

    return read


def _last(field: str) -> Read:
    if field == "located_at":
        return lambda t, _: None if t.latitude is None else t.occurred_at_ms
    if field in {"latitude", "longitude"}:
        return lambda t, _: getattr(t, field)
    return _counterpart(field)
