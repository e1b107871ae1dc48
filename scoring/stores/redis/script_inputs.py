"""What a call brings of a transaction: each column's value, entity by entity."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import nan
from operator import itemgetter
from struct import Struct
from typing import Any

from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.measure import DecidedTransaction, Read, reader
from scoring.core.transaction.transaction import Transaction


@dataclass(frozen=True, slots=True)
class _Own:
    """Of what is read, the columns of one entity; and how they are packed."""

    values: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    layout: Struct
    by_outcome: Read


class Inputs:
    """Reads the columns of a catalogue; what entities have in common is read once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        readings = {
            column: text
            for plan in catalogue.plans
            for column, text in zip(plan.columns, plan.readings, strict=True)
        }
        self._read = reader(*readings.values())
        places = {column: i for i, column in enumerate(readings)}
        self._own = {
            plan.name: _Own(
                _places([places[column] for column in plan.columns]),
                Struct(f"<{len(plan.columns)}d{len(plan.by_outcome)}B"),
                reader(*(plan.readings[i] for i in plan.by_outcome)),
            )
            for plan in catalogue.plans
        }

    def of(self, t: Transaction, plans: Iterable[EntityPlan]) -> list[bytes]:
        """For each entity its columns' values as doubles, NaN where there is none.

        A column that is counted by outcome brings the value that it may come to
        have, and at the end a mask of the outcomes with which it has it.
        """
        amount = self._catalogue.amount(t)
        known = self._read(t, amount)
        if None in known:
            known = tuple([nan if value is None else value for value in known])
        packed = []
        for plan in plans:
            own = self._own[plan.name]
            values = own.values(known)
            if plan.by_outcome:
                values = _with_outcomes(plan, own, t, amount, values)
            packed.append(own.layout.pack(*values))
        return packed


def _places(places: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda known: tuple([known[i] for i in places])


def _with_outcomes(
    plan: EntityPlan,
    own: _Own,
    t: Transaction,
    amount: int | None,
    values: tuple[Any, ...],
) -> tuple[Any, ...]:
    """Fill in what columns may come to have, and add with which outcomes, as masks."""
    filled = list(values)
    masks = [0] * len(plan.by_outcome)
    for outcome in Outcome:
        decided = DecidedTransaction.from_transaction(t, outcome.name)
        coming = own.by_outcome(decided, amount)
        for k, (i, value) in enumerate(zip(plan.by_outcome, coming, strict=True)):
            if outcome and value is not None:
                filled[i], masks[k] = value, masks[k] | 1 << outcome
    return (*filled, *masks)
