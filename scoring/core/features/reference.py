"""The reference engine: every stored slot by looking at every event again.

It is slow and small on purpose: the other engines are held equal to it, cell by
cell. A transaction sees what was added before it and is not later than it.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import nan
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.happened import happened
from scoring.core.features.measure import DecidedTransaction
from scoring.core.features.slot import KNOWN, NORMAL, Column, Kind, Op, Slot
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction

Key = tuple[str, ...]  # tenant, entity, its tokens
_NORMAL_KINDS = frozenset({*NORMAL, Kind.UNUSUAL})


@dataclass(frozen=True, slots=True)
class CountedTransaction:
    """A counted transaction as one entity keeps it."""

    at_ms: int
    id: str
    values: tuple[float | None, ...]


_AT_MS = attrgetter("at_ms")


@dataclass(frozen=True, slots=True, order=True)
class LabelVersion:
    """One version of a label."""

    version: int
    known_at_ms: int
    fraud: bool | None


@dataclass(slots=True)
class Reference:
    """All events of all entities, and the labels.

    An entity's events are in the order of their times and, where these are equal, in
    the order in which they were added.

    >>> from scoring.core.features.catalogue import default_catalogue
    >>> engine = Reference(default_catalogue())
    >>> bought = Transaction("default", "t1", occurred_at_ms=1, card="c1")
    >>> before = engine.evaluate(bought)
    >>> engine.add(bought)
    >>> bool((engine.evaluate(bought)[:4] == before[:4]).all())
    True
    """

    catalogue: Catalogue
    events: dict[Key, list[CountedTransaction]] = field(default_factory=dict)
    labels: dict[tuple[str, str], list[LabelVersion]] = field(default_factory=dict)

    def entities(self, t: Transaction) -> Iterator[tuple[EntityPlan, Key]]:
        """The entities that the transaction names, each with its plan."""
        for plan in self.catalogue.plans:
            tokens = plan.tokens(t)
            if tokens:
                yield plan, (t.tenant, plan.name, *tokens)

    def newest_ms(self, t: Transaction) -> int:
        """The time of the newest event of any of its entities, 0 when none."""
        found = (
            self.events.get(key) for plan, key in self.entities(t) if not plan.of_events
        )
        return max((events[-1].at_ms for events in found if events), default=0)

    def add(self, t: Transaction) -> None:
        """Count a transaction; counting it again changes nothing."""
        amount = self.catalogue.amount(t)
        for plan, key in self.entities(t):
            if not plan.of_events:
                self._keep(key, event_of(plan, t, amount))

    def happen(self, t: Transaction, event: LifecycleEvent) -> None:
        """Count what happened to a payment; counting it again changes nothing."""
        amount = self.catalogue.amount(t)
        own = happened(self.catalogue, t, event)
        for plan, key in self.entities(t):
            if plan.of_events:
                values = plan.read(own.transaction, amount)
                self._keep(key, CountedTransaction(own.at_ms, own.id, values))

    def _keep(self, key: Key, event: CountedTransaction) -> None:
        events = self.events.setdefault(key, [])
        at, is_there = place(events, event)
        if not is_there:
            events.insert(at, event)

    def settle(self, t: Transaction, outcome: str) -> None:
        """Let what is counted by outcome see how a counted transaction was decided."""
        decided = DecidedTransaction.from_transaction(t, outcome)
        amount = self.catalogue.amount(t)
        for plan, key in self.entities(t):
            event = event_of(plan, decided, amount)
            events = self.events.get(key, [])
            at, is_there = place(events, event)
            if is_there:
                events[at] = event

    def learn(self, t: Transaction, verdict: LabelVersion) -> None:
        """Keep one version of a label; repeating it changes nothing."""
        verdicts = self.labels.setdefault((t.tenant, t.id), [])
        if all(verdict.version != known.version for known in verdicts):
            insort(verdicts, verdict)

    def evaluate(self, t: Transaction) -> NDArray[np.float64]:
        """All stored slots as of `t`, itself counted whether added or not."""
        values = np.full(self.catalogue.stored_count, nan)
        for plan, key in self.entities(t):
            end = plan.first_slot + len(plan.slots)
            values[plan.first_slot : end] = self.read(plan, self.events.get(key, []), t)
        return values

    def read(
        self, plan: EntityPlan, events: Sequence[CountedTransaction], t: Transaction
    ) -> list[float]:
        """One entity's slots as of `t`; `events` in order, later ones are ignored."""
        current = event_of(plan, t, self.catalogue.amount(t))
        before = events[: place(events, current)[0]]
        if plan.of_events:
            known = plan.columns.index(KNOWN)
            before = [e for e in before if (e.values[known] or 0) <= t.occurred_at_ms]
        view = _View(
            plan,
            _since_silence(before, current, self.catalogue),
            current,
            self.catalogue,
            lambda event: self._is_fraud(t, event),
        )
        return [READERS[slot.op](view, slot) for slot in plan.slots]

    def _is_fraud(self, t: Transaction, event: CountedTransaction) -> bool:
        known = [
            verdict
            for verdict in self.labels.get((t.tenant, event.id), ())
            if verdict.known_at_ms <= t.occurred_at_ms
        ]
        return bool(known and known[-1].fraud)


@dataclass(slots=True)
class _View:
    """One entity as of one transaction: the events before it, in order, and it."""

    plan: EntityPlan
    before: Sequence[CountedTransaction]
    current: CountedTransaction
    catalogue: Catalogue
    is_fraud: Callable[[CountedTransaction], bool]

    def window(self, slot: Slot) -> list[CountedTransaction]:
        end = self.current.at_ms - slot.delay_ms
        events = [*self.before, self.current] if slot.current else self.before
        return [e for e in events if end - slot.window_ms < e.at_ms <= end]

    def value(self, event: CountedTransaction, column: Column) -> float | None:
        return event.values[self.plan.columns.index(column)]

    def values(
        self, events: Sequence[CountedTransaction], column: Column
    ) -> list[float]:
        place = self.plan.columns.index(column)
        return [v for e in events if (v := e.values[place]) is not None]

    def known(self, slot: Slot) -> list[CountedTransaction]:
        """Events whose labels may be used, newest first, within the retention."""
        end = self.current.at_ms - slot.delay_ms
        start = self.current.at_ms - self.catalogue.retention_ms
        return [e for e in reversed(self.before) if start < e.at_ms <= end]


def event_of(
    plan: EntityPlan, t: Transaction, amount: int | None
) -> CountedTransaction:
    """A transaction as an entity keeps it; `amount` in the reference currency."""
    values = plan.read(t, amount)
    return CountedTransaction(t.occurred_at_ms, t.id, values)


def place(
    events: Sequence[CountedTransaction], event: CountedTransaction
) -> tuple[int, bool]:
    """How many events are before one, and whether it is there.

    >>> first, second = CountedTransaction(5, "b", ()), CountedTransaction(5, "a", ())
    >>> place([first], second), place([first, second], first)
    ((1, False), (0, True))
    """
    end = bisect_right(events, event.at_ms, key=_AT_MS)
    for i in range(end - 1, -1, -1):
        if events[i].at_ms != event.at_ms:
            break
        if events[i].id == event.id:
            return i, True
    return end, False


def _since_silence(
    events: Sequence[CountedTransaction],
    current: CountedTransaction,
    catalogue: Catalogue,
) -> Sequence[CountedTransaction]:
    """The events after the last silence longer than the horizon."""
    later = current
    for i in range(len(events) - 1, -1, -1):
        if later.at_ms - events[i].at_ms > catalogue.horizon_ms:
            return events[i + 1 :]
        later = events[i]
    return events


def own_normal(
    events: Sequence[tuple[int, float | None]], trim: float
) -> tuple[list[float], list[tuple[int, bool]]]:
    """Fold amounts into [count, sum, squares high, low] and mark the unusual.

    `events` are (at_ms, amount) in order. An amount above `trim` times the mean so
    far is unusual and is not taken in.

    >>> own_normal([(1, 100), (2, 100), (3, 900)], 2.6)[1]
    [(1, False), (2, False), (3, True)]
    """
    count, total, squares = 0, 0, 0
    high = low = 0
    marks: list[tuple[int, bool]] = []
    for at_ms, amount in events:
        if amount is None:
            continue
        # In floats, as every engine compares: integers would tell finer differences.
        unusual = count > 0 and float(amount) * count > trim * total
        marks.append((at_ms, unusual))
        if not unusual:
            count, total = count + 1, total + int(amount)
            squares = int(amount) ** 2
            high, low = high + (squares >> 40), low + (squares & (1 << 40) - 1)
    return [count, total, high, low], marks


def _total(view: _View, slot: Slot) -> float:
    column = _column(slot)
    if column.kind is Kind.UNUSUAL:
        start = view.current.at_ms - slot.window_ms
        marks = own_normal(_amounts(view, column), column.trim)[1]
        return sum(unusual for at_ms, unusual in marks if at_ms > start)
    return sum(view.values(view.window(slot), column))


def _amounts(view: _View, column: Column) -> list[tuple[int, float | None]]:
    return [(e.at_ms, view.value(e, column)) for e in view.before]


def _largest(view: _View, slot: Slot) -> float:
    return max(view.values(view.window(slot), _column(slot)), default=nan)


def _distinct(view: _View, slot: Slot) -> float:
    return len(set(view.values(view.window(slot), _column(slot))))


def _before(view: _View, slot: Slot) -> float:
    column = _column(slot)
    if column.kind in _NORMAL_KINDS:
        state = own_normal(_amounts(view, column), column.trim)[0]
        return state[NORMAL.index(column.kind)]
    values = view.values(view.before, column)
    if column.kind is Kind.FIRST:
        return values[0] if values else 0
    return values[-1] if values else nan


def _time_before(view: _View, _slot: Slot) -> float:
    return view.before[-1].at_ms if view.before else 0


def _seen(view: _View, slot: Slot) -> float:
    wanted = view.value(view.current, _column(slot))
    if wanted is None:
        return nan
    start = view.current.at_ms - view.catalogue.retention_ms
    times = [
        e.at_ms
        for e in view.before
        if e.at_ms > start and view.value(e, _column(slot)) == wanted
    ]
    return times[-1] if times else 0


def _guilty(view: _View, slot: Slot, event: CountedTransaction) -> bool:
    return view.is_fraud(event) and view.value(event, _column(slot)) is not None


def _frauds(view: _View, slot: Slot) -> float:
    return sum(_guilty(view, slot, event) for event in view.window(slot))


def _streak_events(view: _View, slot: Slot) -> list[CountedTransaction]:
    streak: list[CountedTransaction] = []
    for event in view.known(slot):
        if not _guilty(view, slot, event):
            break
        streak.append(event)
    return streak


def _streak(view: _View, slot: Slot) -> float:
    return len(_streak_events(view, slot))


def _streak_start(view: _View, slot: Slot) -> float:
    streak = _streak_events(view, slot)
    return streak[-1].at_ms if streak else 0


def _fraud_time(view: _View, slot: Slot) -> float:
    return next((e.at_ms for e in view.known(slot) if _guilty(view, slot, e)), 0)


def _column(slot: Slot) -> Column:
    assert slot.column is not None
    return slot.column


READERS: dict[Op, Callable[[_View, Slot], float]] = {
    Op.TOTAL: _total,
    Op.LARGEST: _largest,
    Op.DISTINCT: _distinct,
    Op.BEFORE: _before,
    Op.TIME_BEFORE: _time_before,
    Op.SEEN: _seen,
    Op.FRAUDS: _frauds,
    Op.STREAK: _streak,
    Op.STREAK_START: _streak_start,
    Op.FRAUD_TIME: _fraud_time,
}
