"""Transactions and labels in one order of event time, cut into steps.

A step's labels are applied before its transactions, and one step ends before the
next begins. Inside a step any door may batch as it likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from scoring.core.transaction.label import Label, LabelSource, Verdict, validate_order
from scoring.core.transaction.transaction import Transaction
from scoring.tables.admission import Row

# Entities as (kind, token …); two events that share none commute.
Entities = Callable[[Transaction], Sequence[tuple[str, ...]]]
WINDOW_ROWS = 2_000  # ordered steps are cut from so many rows at a time


@dataclass(slots=True)
class ScheduleStep:
    """Labels, then transactions; each in event order per entity."""

    labels: list[Label] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class LabelsDue:
    """Labels of rows already seen, by the instant at which they become known.

    Not `fed`: the truth is for the report alone. `lead_ms` gives them out so long
    before they are known; they count from that instant all the same.
    """

    fed: bool = True
    lead_ms: int = 0
    _waiting: list[tuple[int, int, Label]] = field(default_factory=list)
    _count: int = 0

    def add(self, row: Row) -> None:
        """Take in a row; rows without a label are passed over."""
        if row.fraud is None or not self.fed:
            return
        self._count += 1
        # The count keeps labels of one instant in the order of their rows.
        heappush(self._waiting, (row.known_at_ms, self._count, label_of(row)))

    def until(self, instant_ms: int) -> Iterator[Label]:
        """Remove and give the labels known at or before an instant, and the lead."""
        while self._waiting and self._waiting[0][0] <= instant_ms + self.lead_ms:
            yield heappop(self._waiting)[2]

    def __len__(self) -> int:
        return len(self._waiting)


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
    due: LabelsDue,
    *,
    reads: Entities,
    labels: Entities,
    rows_max: int = WINDOW_ROWS,
) -> Iterator[ScheduleStep]:
    """One event-time merge: a label comes before the first row at or after it.

    Equal, for every entity, to handling the events one by one: events that share
    no entity commute, so a step takes all that need not wait for another. `reads`
    names the entities a transaction updates and reads, `labels` those its label
    changes; `rows_max` rows are looked at together.
    """
    window: list[Row | Label] = []
    count = 0
    for row in rows:
        window.extend(due.until(row.transaction.occurred_at_ms))
        window.append(row)
        due.add(row)
        count += 1
        if count == rows_max:
            yield from _levels(window, reads, labels)
            window, count = [], 0
    yield from _levels(window, reads, labels)


def _levels(
    window: Sequence[Row | Label], reads: Entities, labels: Entities
) -> Iterator[ScheduleStep]:
    """Put each event into the earliest step that keeps every entity's order."""
    steps: deque[ScheduleStep] = deque()
    # Of each entity, the step of its last transaction and of its last label.
    last_row: dict[tuple[str, ...], int] = {}
    last_label: dict[tuple[str, ...], int] = {}
    for event in window:
        if isinstance(event, Row):
            touched = reads(event.transaction)
            level = max(
                (max(last_row.get(e, 0), last_label.get(e, 0)) for e in touched),
                default=0,
            )
            _step(steps, level).rows.append(event)
            last_row.update(dict.fromkeys(touched, level))
        else:
            assert event.transaction is not None
            touched = labels(event.transaction)
            # A step's labels precede its rows, so a label waits for the next step.
            level = max(
                (max(last_row.get(e, -1) + 1, last_label.get(e, 0)) for e in touched),
                default=0,
            )
            _step(steps, level).labels.append(event)
            last_label.update(dict.fromkeys(touched, level))
    yield from steps


def _step(steps: deque[ScheduleStep], level: int) -> ScheduleStep:
    while len(steps) <= level:
        steps.append(ScheduleStep())
    return steps[level]


def plain_steps(
    rows: Iterable[Row], due: LabelsDue, *, rows_max: int
) -> Iterator[ScheduleStep]:
    """Steps of at most `rows_max` rows; labels come with the step they are due in."""
    step = ScheduleStep()
    for row in rows:
        step.labels.extend(due.until(row.transaction.occurred_at_ms))
        step.rows.append(row)
        due.add(row)
        if len(step.rows) == rows_max:
            yield step
            step = ScheduleStep()
    if step.rows:
        yield step
