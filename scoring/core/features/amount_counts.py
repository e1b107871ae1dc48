"""By which slots a window tells that it holds a payment whose amount is unknown."""

from __future__ import annotations

from scoring.core.features.expression import OUTCOME, names_of
from scoring.core.features.readable import is_keyed
from scoring.core.features.slot import GIVEN, Column, Kind, Op, Slot
from scoring.core.features.statistic import Statistic, Wanted


def amount_counts(w: Wanted, statistic: Statistic) -> tuple[Slot, ...]:
    """How a window tells that it holds an unknown amount: it has fewer of the second.

    The count of its payments and of those with a known amount; () where no amount
    matters. Where a filter reads the amount, nobody knows whether such a payment
    passes: then all are counted. Of a named number: the count of those that bring one,
    and of those in which it fits.
    """
    by_amount = "amount" in names_of(w.filter)
    numbered = statistic.of_amounts and is_keyed(w.measure)
    measured = statistic.of_amounts and w.measure == "amount"
    if not statistic.windowed or not (by_amount or measured or numbered):
        return ()
    filter_ = "" if by_amount else w.filter
    given = ("", "amount")
    if numbered and not by_amount:
        given = (w.measure + GIVEN, w.measure)
    current = statistic.includes_current and OUTCOME not in names_of(w.filter)
    columns = (Column(Kind.COUNT, measure, filter_) for measure in given)
    return tuple(
        Slot(w.entity, Op.TOTAL, column, w.window_ms, w.delay_ms, current)
        for column in columns
    )
