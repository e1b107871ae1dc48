"""Guessing which column is which: a mapping proposed for a table, with its doubts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scoring.core.transaction.card_number import holds_card_number
from scoring.tables import cells
from scoring.tables.column_names import (
    KNOWN_NAMES,
    MINOR_NAMES,
    candidates,
    spellings,
)
from scoring.tables.describe_time import find_time, judge_time
from scoring.tables.guess import Guess, Values
from scoring.tables.mapping import TableMapping, shipped_mapping
from scoring.tables.source import open_source
from scoring.tables.values import (
    SYMBOL_CURRENCIES,
    all_whole,
    can_be,
    ends_like_floats,
    money_of,
    only_days,
)

_SAMPLED_ROWS = 1_000
_VALUES_SHOWN_MAX = 8
_MINOR = "minor"
_OURS = ("id", "occurred_at_ms", "amount_minor", "currency")  # of no other table
# Apart in TabFormer's table: of whom the numbers of cards are.
_CARDS_OF = ("User", "Card")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mapping in YAML and what the reader must still settle.

    `complete` is true where the text loads as a mapping and nothing is to be asked.
    """

    text: str
    remarks: tuple[str, ...]
    complete: bool
    asked: tuple[str, ...] = ()


def mapping_for(present: set[str]) -> TableMapping | None:
    """The shipped mapping whose columns a table has, if there is one."""
    handbook, ours = shipped_mapping("handbook"), shipped_mapping("scoring")
    if present.issuperset(handbook.used):
        return handbook
    if not present.issuperset(_OURS):
        return None
    columns = {field: c for field, c in ours.columns.items() if c in present}
    own = {"known_at": "known_at_ms", "outcome": "outcome"}
    columns |= {field: column for field, column in own.items() if column in present}
    return ours.model_copy(update={"columns": columns})


def describe(path: Path, *, encoding: str = "") -> Proposal:
    """Propose a mapping for a table by its columns' values and names."""
    source = open_source(path, encoding=encoding)
    shipped = mapping_for(set(source.columns))
    if shipped is not None:
        shipped = shipped.model_copy(update={"encoding": encoding})
        text = yaml.safe_dump(
            shipped.model_dump(exclude_defaults=True, mode="json"), sort_keys=False
        )
        told = f"amounts in {shipped.amount_unit} units, times without a zone in UTC"
        constants = [f"{k}: {v} is assumed" for k, v in shipped.constants.items()]
        remarks = ("these are the columns of a shipped mapping", told, *constants)
        return Proposal(text, (*remarks, *_unused(shipped.used, source.columns)), True)
    sample: dict[str, list[str]] = {column: [] for column in source.columns}
    for record in source.sample(_SAMPLED_ROWS):
        for column, text in record.cells.items():
            if text.strip():
                sample.setdefault(column, []).append(text)

    def values(column: str) -> Iterator[str]:
        for record in source.records(frozenset({column})):
            if text := record.cells.get(column, "").strip():
                yield text

    return propose(
        source.columns, sample, values=values, floats=source.floats, encoding=encoding
    )


def propose(
    columns: Sequence[str],
    sample: Mapping[str, Sequence[str]],
    *,
    values: Values | None = None,
    floats: frozenset[str] = frozenset(),
    encoding: str = "",
) -> Proposal:
    """Propose a mapping for columns with sampled values; `values` reads all of one.

    >>> propose(["txId", "amt", "paid"], {"txId": ["a"], "amt": ["1.50"],
    ...     "paid": ["2024-03-01 10:00:00"]}).remarks[0]
    'occurred_at: the only column that is a time'
    """

    def sampled(column: str) -> Iterator[str]:
        return iter(sample.get(column, ()))

    guess, every = Guess(), values or sampled
    if encoding:
        guess.extra["encoding"] = encoding
    _find_columns(guess, columns, sample)
    find_time(guess, columns, sample)
    judge_time(guess, sample, every)
    _judge_amount(guess, sample, every, floats)
    _judge_required(guess, every)
    _judge_tokens(guess, sample)
    used = [c for named in guess.columns.values() for c in _listed(named)]
    guess.remarks += _unused(used, columns)
    complete = not guess.asked and {"occurred_at", "amount"} <= guess.columns.keys()
    return Proposal(
        _text(guess), tuple(guess.remarks), complete, asked=tuple(guess.asked)
    )


def _listed(named: str | list[str]) -> list[str]:
    return [named] if isinstance(named, str) else named


def _unused(used: Sequence[str], columns: Sequence[str]) -> list[str]:
    left = [column for column in columns if column not in used]
    return [f"not used: {', '.join(left)}"] if left else []


def _find_columns(
    guess: Guess, columns: Sequence[str], sample: Mapping[str, Sequence[str]]
) -> None:
    """The best column by name whose values can be what the name says."""
    for ours in KNOWN_NAMES:
        named = candidates(ours, columns)
        if ours == "occurred_at":  # the best name is no help where it has days only
            named.sort(key=lambda column: only_days(sample.get(column, ())))
        for column in named:
            if column not in guess.columns.values() and can_be(
                ours, sample.get(column, ())
            ):
                guess.columns[ours] = column
                break
        else:
            if named and not (ours == "id" and guess.columns):
                guess.remarks.append(_not_one(ours, named[0], sample))
    if set(_CARDS_OF) <= set(columns):
        guess.columns["card"] = list(_CARDS_OF)
        guess.remarks.append("card: numbers of cards are read as each user's own")
    if ("latitude" in guess.columns) != ("longitude" in guess.columns):
        for ours in ("latitude", "longitude"):
            guess.columns.pop(ours, None)
        guess.remarks.append("location: only one of latitude and longitude; left out")


def _not_one(ours: str, column: str, sample: Mapping[str, Sequence[str]]) -> str:
    """Why a column is not taken for what its name says."""
    if ours != "outcome":
        return f"{ours}: not column {column!r}: its values cannot be one"
    said = _shown(sample.get(column, ()))
    return (
        f"outcome: not column {column!r}, with values {said}; where they say what was "
        "decided, map it, and say which value means what, as in "
        "outcomes: {approve: [ok], decline: [refused]}"
    )


def _judge_amount(
    guess: Guess,
    sample: Mapping[str, Sequence[str]],
    every: Values,
    floats: frozenset[str],
) -> None:
    column = guess.column("amount")
    texts = sample.get(column, ())
    money = money_of(texts) if texts else None
    if money is not None and (money.decimal or money.symbol):
        guess.extra["money"] = money.model_dump(exclude_defaults=True)
        guess.remarks.append(f"amount: written as {guess.extra['money']}")
    if MINOR_NAMES & set(spellings(column)):
        guess.amount_unit = _MINOR
    elif texts and column not in floats and all_whole(texts):
        if all_whole(every(column)):
            guess.amount_unit = _MINOR
        elif money_of(list(every(column))) is None:
            guess.ask(f"amount: {column!r} is written in several ways")
    if guess.amount_unit == _MINOR:
        guess.remarks.append(
            "amount: whole numbers, read as minor units (4999 is 49.99); say "
            "amount_unit: major where they are not"
        )
    elif column:
        guess.remarks.append("amount: read as major units (49.99)")


def _judge_required(guess: Guess, every: Values) -> None:
    if "id" not in guess.columns:
        guess.extra["row_numbers_as_ids"] = True
        guess.remarks.append("id: no column is one; rows are numbered")
    for ours in ("occurred_at", "amount"):
        if ours not in guess.columns:
            guess.ask(f"{ours}: no column looks like it; name one under columns")
    if "currency" not in guess.columns:
        symbol = guess.extra.get("money", {}).get("symbol", "")
        guess.constants["currency"] = SYMBOL_CURRENCIES.get(symbol, "EUR")
        why = f"amounts say {symbol}" if symbol else "no column looks like it"
        guess.remarks.append(
            f"currency: {why}; {guess.constants['currency']} is assumed"
        )
    if "card" not in guess.columns and "customer" in guess.columns:
        guess.columns["card"] = guess.columns["customer"]
        guess.remarks.append("card: the customer's token is used for the card's")
    elif not {"card", "customer"} & guess.columns.keys():
        guess.remarks.append(
            "card, customer: no column looks like them; nothing is counted of anybody"
        )
    if "latitude" in guess.columns:
        where = f"{guess.columns['latitude']}, {guess.columns['longitude']}"
        guess.remarks.append(f"location: {where} are taken for where the payment was")
    if "fraud" not in guess.columns:
        guess.remarks.append("fraud: no label found; no quality report is possible")
        return
    guess.extra["label_delay"] = "7d"
    values = set(every(guess.column("fraud")))  # the first fraud may come late
    guess.remarks.append(
        f"fraud: {guess.column('fraud')!r}, with values {_shown(values)}; "
        "1, true, yes, fraud mean fraud; known 7 days later"
    )
    if neither := {v for v in values if v.strip() and cells.fraud(v, None) is None}:
        guess.remarks.append(
            f"fraud: {_shown(neither)}: no label; say what a value means, as in "
            "labels: {fraud: [chargeback], legitimate: [ok]}"
        )


def _shown(values: Iterable[str]) -> str:
    """A few of the values, but none that may be somebody's."""
    known = sorted(v[:32] for v in set(values) if not holds_card_number(v))
    return ", ".join(known[:_VALUES_SHOWN_MAX]) or "none"


def _judge_tokens(guess: Guess, sample: Mapping[str, Sequence[str]]) -> None:
    for ours, named in guess.columns.items():
        for column in _listed(named):
            texts = sample.get(column, ())
            if any(holds_card_number(text) for text in texts):
                guess.remarks.append(
                    f"{ours}: column {column!r} holds card numbers, which are "
                    "refused; replace them by tokens first, or have each numbered "
                    f"for this table alone by tokenise: [{ours}] in the mapping"
                )
            if ours in ("id", "card", "customer") and ends_like_floats(texts):
                guess.remarks.append(
                    f"{ours}: {column!r} ends in .0 as floats do; taken as it is"
                )


def _text(guess: Guess) -> str:
    plain: dict[str, Any] = {"columns": guess.columns}
    if guess.constants:
        plain["constants"] = guess.constants
    plain["amount_unit"] = guess.amount_unit
    return yaml.safe_dump({**plain, **guess.extra}, sort_keys=False, allow_unicode=True)
