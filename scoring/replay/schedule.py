"""Transactions, labels and lifecycle events in one order of time, cut into steps.

A step's follow-ups (labels, events) are applied before its transactions, and one step
ends before the next begins. Inside a step any door may batch as it likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

from scoring.core.transaction.label import Label, LabelSource, Verdict, validate_order
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction
from scoring.tables.admission import Row

Reported = Label | LifecycleEvent

# Entities as (kind, token …); two events that share none commute.
Entities = Callable[[Transaction], Sequence[tuple[str, ...]]]
Changed = Callable[[Reported], Sequence[tuple[str, ...]]]
WINDOW_ROWS = 2_000  # ordered steps are cut from so many rows at a time


@dataclass(slots=True)
class ScheduleStep:
    """Follow-ups, then transactions; each in event order per entity."""

    follow_ups: list[Reported] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class FollowUpsDue:
    """Follow-ups of rows already seen, by the instant at which they become known.

    Not `labelled`: the truth is for the report alone. `lead_ms` gives them out so long
    before they are known; they count from that instant all the same. `events` are
    those of rows to come, by transaction id.
    """

    labelled: bool = True
    lead_ms: int = 0
    events: dict[str, list[LifecycleEvent]] = field(default_factory=dict)
    _waiting: list[tuple[int, int, Reported]] = field(default_factory=list)
    _count: int = 0

    def before(self, row: Row) -> Iterator[Reported]:
        """Remove and give what comes before a row; take in the row's own follow-ups.

        An event may be known at its payment's very instant; a label comes after it.
        Rows without a label are passed over.
        """
        t = row.transaction
        for event in self._own_events(t):
            self._add(event)
        yield from self._until(t.occurred_at_ms)
        if row.fraud is not None and self.labelled:
            self._add(label_of(row))

    def _own_events(self, t: Transaction) -> Iterator[LifecycleEvent]:
        own = self.events.pop(t.id, [])
        if others := [e for e in own if e.tenant not in ("", t.tenant)]:
            self.events[t.id] = others
        for event in own:
            if event.tenant in ("", t.tenant):
                known_at_ms = known_with(event, t)
                yield replace(
                    event, tenant=t.tenant, transaction=t, known_at_ms=known_at_ms
                )

    def _add(self, one: Reported) -> None:
        self._count += 1
        # The count keeps those of one instant in the order of their rows.
        heappush(self._waiting, (one.known_at_ms, self._count, one))

    def _until(self, instant_ms: int) -> Iterator[Reported]:
        while self._waiting and self._waiting[0][0] <= instant_ms + self.lead_ms:
            yield heappop(self._waiting)[2]

    def left(self, kind: type[Reported]) -> int:
        """How many labels, or events, were not given out."""
        waiting = sum(isinstance(one, kind) for _, _, one in self._waiting)
        strays = sum(map(len, self.events.values())) if kind is LifecycleEvent else 0
        return waiting + strays


def known_with(event: LifecycleEvent, payment: Transaction) -> int:
    """When an event becomes known in a replay: at the earliest with its payment.

    Two clocks differ, and a row that has not been read tells nothing.
    """
    known_at_ms = event.known_at_ms or event.occurred_at_ms
    return max(known_at_ms, payment.occurred_at_ms)


def label_of(row: Row) -> Label:
    """The label a row's truth becomes; it carries its transaction.

    Raises `InvalidTransaction` where it was known before its payment.
    """
    validate_order(row.known_at_ms, row.transaction)
    return Label(
        row.transaction.tenant,
        row.transaction.id,
        version=1,
        verdict=Verdict.FRAUD if row.fraud else Verdict.LEGITIMATE,
        known_at_ms=row.known_at_ms,
        source=LabelSource.CHARGEBACK if row.fraud else LabelSource.UNSPECIFIED,
        transaction=row.transaction,
    )


def ordered_steps(
    rows: Iterable[Row],
    due: FollowUpsDue,
    *,
    reads: Entities,
    changes: Changed,
    rows_max: int = WINDOW_ROWS,
) -> Iterator[ScheduleStep]:
    """One event-time merge: a follow-up comes before the first row at or after it.

    Equal, for every entity, to handling the events one by one: events that share
    no entity commute, so a step takes all that need not wait for another. `reads`
    names the entities a transaction updates and reads, `changes` those a follow-up
    changes; `rows_max` rows are looked at together.
    """
    window: list[Row | Reported] = []
    count = 0
    for row in rows:
        window.extend(due.before(row))
        window.append(row)
        count += 1
        if count == rows_max:
            yield from _levels(window, reads, changes)
            window, count = [], 0
    yield from _levels(window, reads, changes)


def _levels(
    window: Sequence[Row | Reported], reads: Entities, changes: Changed
) -> Iterator[ScheduleStep]:
    """Put each event into the earliest step that keeps every entity's order."""
    steps: deque[ScheduleStep] = deque()
    # Of each entity, the step of its last transaction and its last follow-up.
    last_row: dict[tuple[str, ...], int] = {}
    last_told: dict[tuple[str, ...], int] = {}
    for event in window:
        if isinstance(event, Row):
            touched = reads(event.transaction)
            level = max(
                (max(last_row.get(e, 0), last_told.get(e, 0)) for e in touched),
                default=0,
            )
            _step(steps, level).rows.append(event)
            last_row.update(dict.fromkeys(touched, level))
        else:
            touched = changes(event)
            # A step's follow-ups precede its rows: one waits for the next step.
            level = max(
                (max(last_row.get(e, -1) + 1, last_told.get(e, 0)) for e in touched),
                default=0,
            )
            _step(steps, level).follow_ups.append(event)
            last_told.update(dict.fromkeys(touched, level))
    yield from steps


def _step(steps: deque[ScheduleStep], level: int) -> ScheduleStep:
    while len(steps) <= level:
        steps.append(ScheduleStep())
    return steps[level]


def plain_steps(
    rows: Iterable[Row], due: FollowUpsDue, *, rows_max: int
) -> Iterator[ScheduleStep]:
    """Steps of at most `rows_max` rows; follow-ups come in the step they are due in."""
    step = ScheduleStep()
    for row in rows:
        step.follow_ups.extend(due.before(row))
        step.rows.append(row)
        if len(step.rows) == rows_max:
            yield step
            step = ScheduleStep()
    if step.rows:
        yield step
