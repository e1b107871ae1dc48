"""By which slots a window tells that it holds a payment whose amount is unknown."""

from __future__ import annotations

from scoring.core.features.event_fields import EVENT_AMOUNT
from scoring.core.features.expression import OUTCOME, names_of, reads_event
from scoring.core.features.readable import is_keyed
from scoring.core.features.slot import GIVEN, Column, Kind, Op, Slot
from scoring.core.features.statistic import Statistic, Wanted

_AMOUNTS = ("amount", EVENT_AMOUNT)


def amount_counts(w: Wanted, statistic: Statistic) -> tuple[Slot, ...]:
    """How a window tells that it holds an unknown amount: it has fewer of the second.

    The count of its payments and of those with a known amount; () where no amount
    matters. Where a filter reads the amount, nobody knows whether such a payment
    passes: then all are counted. Of a named number: the count of those that bring one,
    and of those in which it fits.
    """
    read = [name for name in _AMOUNTS if name in names_of(w.filter)]
    numbered = statistic.of_amounts and is_keyed(w.measure)
    measured = statistic.of_amounts and w.measure in _AMOUNTS
    if not statistic.windowed or not (read or measured or numbered):
        return ()
    is_event = reads_event(w.filter)
    filter_, given = w.filter, ("", w.measure)
    if read:
        filter_, given = "known(event)" if is_event else "", ("", read[0])
    elif numbered:
        given = (w.measure + GIVEN, w.measure)
    unknown_yet = is_event or OUTCOME in names_of(w.filter)
    current = statistic.includes_current and not unknown_yet
    columns = (Column(Kind.COUNT, measure, filter_) for measure in given)
    return tuple(
        Slot(w.entity, Op.TOTAL, column, w.window_ms, w.delay_ms, current)
        for column in columns
    )
