"""What is kept with each event, and how one stored number is read from it.

A column is kept with every event of an entity; a slot is one stored number read from
columns as of a transaction. Three engines have a part for each `Kind` and `Op`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from scoring.core.features.event_fields import KNOWN_AT
from scoring.core.features.expression import OUTCOME, names_of, reads_event

LABELS = "labels"
GIVEN = "?"  # ends the measure of a count of numbers that are given, fit or not


class Op(StrEnum):
    """How a slot is read from an entity's events."""

    of_labels: bool

    def __new__(cls, word: str, needed: str = "") -> Self:
        """A reading; LABELS where it needs to know which events were frauds."""
        op = str.__new__(cls, word)
        op._value_ = word
        op.of_labels = needed == LABELS
        return op

    TOTAL = "total"  # a column summed over (t-d-w, t-d]
    LARGEST = "largest"  # the largest value in (t-w, t]
    DISTINCT = "distinct"  # different counterparts in (t-w, t]
    BEFORE = "before"  # a carried column as of the event before
    TIME_BEFORE = "time_before"  # when the event before occurred, 0 when none
    SEEN = "seen"  # when this counterpart was last seen before, 0 when never
    FRAUDS = "frauds", LABELS  # known frauds in (t-d-w, t-d]
    # The latest events at or before t-d that are all known frauds, when the first of
    # them was, and when the last known fraud was; 0 when none.
    STREAK = "streak", LABELS
    STREAK_START = "streak_start", LABELS
    FRAUD_TIME = "fraud_time", LABELS


class Kind(StrEnum):
    """What a column keeps with each event."""

    COUNT = "count"  # running count of events that pass the filter
    SUM = "sum"  # running sum of an integer measure
    MAX = "max"  # the measure itself
    COUNTERPART = "counterpart"  # 48-bit hash of a text, 0 unknown
    LAST = "last"  # the last known value of a field, up to this event
    FIRST = "first"  # when the entity's history began
    NORMAL_COUNT = "normal_count"  # own normal: events taken into it
    NORMAL_SUM = "normal_sum"
    NORMAL_HIGH = "normal_high"  # squares, in two limbs
    NORMAL_LOW = "normal_low"
    UNUSUAL = "unusual"  # running count of events far above the own normal


NORMAL = (Kind.NORMAL_COUNT, Kind.NORMAL_SUM, Kind.NORMAL_HIGH, Kind.NORMAL_LOW)


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """One number kept with each event; `measure` and `filter` say of what."""

    kind: Kind
    measure: str = ""
    filter: str = ""
    trim: float = 0.0

    @property
    def by_outcome(self) -> bool:
        """Whether it keeps what is known only once the transaction is decided."""
        return OUTCOME in names_of(self.filter)

    @property
    def by_event(self) -> bool:
        """Whether it keeps a lifecycle event, and not a transaction."""
        return self.measure == KNOWN_AT or reads_event(self.filter)


# Since when each event is known: an entity's history of events keeps it.
KNOWN = Column(Kind.MAX, KNOWN_AT)


@dataclass(frozen=True, slots=True)
class Slot:
    """One stored number; `current` says whether the transaction itself counts."""

    entity: str
    op: Op
    column: Column | None = None
    window_ms: int = 0
    delay_ms: int = 0
    current: bool = True
