"""What a call brings of a transaction: each column's value, entity by entity."""

from __future__ import annotations

from collections.abc import Iterable
from math import nan
from struct import Struct

from scoring.core.catalogue import Catalogue, EntityPlan
from scoring.core.decision import Outcome
from scoring.core.measure import Decided
from scoring.core.transaction import Transaction


class Inputs:
    """Reads the columns of a catalogue; what entities have in common is read once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        readers = {
            column: read
            for plan in catalogue.plans
            for column, read in zip(plan.columns, plan.readers, strict=True)
        }
        self._readers = tuple(readers.values())
        places = {column: i for i, column in enumerate(readers)}
        self._own = {
            plan.name: (
                [places[column] for column in plan.columns],
                Struct(f"<{len(plan.columns)}d{len(plan.by_outcome)}B"),
            )
            for plan in catalogue.plans
        }

    def of(self, t: Transaction, plans: Iterable[EntityPlan]) -> list[bytes]:
        """For each entity its columns' values as doubles, NaN where there is none.

        A column that is counted by outcome brings the value that it may come to
        have, and at the end a mask of the outcomes with which it has it.
        """
        amount = self._catalogue.amount(t)
        known = [
            nan if (value := read(t, amount)) is None else value
            for read in self._readers
        ]
        packed = []
        for plan in plans:
            places, layout = self._own[plan.name]
            values = [known[i] for i in places]
            masks = _by_outcome(plan, t, amount, values) if plan.by_outcome else ()
            packed.append(layout.pack(*values, *masks))
        return packed


def _by_outcome(
    plan: EntityPlan, t: Transaction, amount: int | None, values: list[float]
) -> list[int]:
    """Fill in what columns may come to have; with which outcomes, as masks."""
    masks = [0] * len(plan.by_outcome)
    for outcome in Outcome:
        decided = Decided.from_transaction(t, outcome.name)
        for k, i in enumerate(plan.by_outcome):
            value = plan.readers[i](decided, amount)
            if outcome and value is not None:
                values[i], masks[k] = value, masks[k] | 1 << outcome
    return masks
