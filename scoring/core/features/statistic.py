"""What each statistic keeps, which stored slots it reads and how it is derived.

A column is kept with every event of an entity; a slot is one stored number read
from columns as of a transaction; a feature is derived from slots. To add a
statistic: an entry here and, where none fits, its formula in derivation.py. Only a
statistic that no slot serves needs a new reading in each of the three engines:
reference.py, stores/redis/lua/ and offline_sql.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from scoring.core.features.expression import OUTCOME, names_of


class Op(StrEnum):
    """How a slot is read from an entity's events."""

    TOTAL = "total"  # a column summed over (t-d-w, t-d]
    LARGEST = "largest"  # the largest value in (t-w, t]
    DISTINCT = "distinct"  # different counterparts in (t-w, t]
    BEFORE = "before"  # a carried column as of the event before
    TIME_BEFORE = "time_before"  # when the event before occurred, 0 when none
    SEEN = "seen"  # when this counterpart was last seen before, 0 when never
    FRAUDS = "frauds"  # known frauds in (t-d-w, t-d]
    STREAK = "streak"  # latest events at or before t-d that are all known frauds
    STREAK_START = "streak_start"  # when that streak began, 0 when none
    FRAUD_TIME = "fraud_time"  # the last known fraud at or before t-d, 0 when none


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


@dataclass(frozen=True, slots=True)
class Slot:
    """One stored number; `current` says whether the transaction itself counts."""

    entity: str
    op: Op
    column: Column | None = None
    window_ms: int = 0
    delay_ms: int = 0
    current: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A feature definition at one window, as the statistics below see it."""

    entity: str
    window_ms: int
    delay_ms: int = 0
    filter: str = ""
    measure: str = "amount"
    of: str = ""
    trim: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A statistic: the slots it reads and its place in the catalogue."""

    slots: Callable[[Wanted], tuple[Slot, ...]]
    derive: str  # names a formula of derivation.py
    unit: str
    windowed: bool = True
    includes_current: bool = True
    needs: frozenset[str] = frozenset()  # fields that the definition must give
    takes: frozenset[str] = frozenset()  # fields that it may give
    counts_outcomes: bool = False  # whether its filter may read the outcome
    of_amounts: bool = False  # "at least" over a window that holds an unknown amount
    spoiled: bool = False  # unknown over such a window


def _total(w: Wanted, kind: Kind, measure: str, *, current: bool = True) -> Slot:
    column = Column(kind, measure, w.filter)
    current = current and not column.by_outcome  # it is not decided yet
    return Slot(w.entity, Op.TOTAL, column, w.window_ms, w.delay_ms, current)


def _count(w: Wanted) -> tuple[Slot, ...]:
    return (_total(w, Kind.COUNT, ""),)


def _sum(w: Wanted) -> tuple[Slot, ...]:
    return (_total(w, Kind.SUM, w.measure),)


def _mean(w: Wanted) -> tuple[Slot, ...]:
    return (_total(w, Kind.SUM, w.measure), _total(w, Kind.COUNT, w.measure))


def _std(w: Wanted) -> tuple[Slot, ...]:
    return (
        *_mean(w),
        _total(w, Kind.SUM, f"{w.measure}^2 high"),
        _total(w, Kind.SUM, f"{w.measure}^2 low"),
    )


def _largest(w: Wanted) -> tuple[Slot, ...]:
    column = Column(Kind.MAX, w.measure, w.filter)
    return (Slot(w.entity, Op.LARGEST, column, w.window_ms),)


def _smallest(w: Wanted) -> tuple[Slot, ...]:
    column = Column(Kind.MAX, f"-{w.measure}", w.filter)
    return (Slot(w.entity, Op.LARGEST, column, w.window_ms),)


def _distinct(w: Wanted) -> tuple[Slot, ...]:
    column = Column(Kind.COUNTERPART, w.of, w.filter)
    return (Slot(w.entity, Op.DISTINCT, column, w.window_ms),)


def _seen(w: Wanted) -> tuple[Slot, ...]:
    column = Column(Kind.COUNTERPART, w.of)
    return (Slot(w.entity, Op.SEEN, column, current=False),)


def _before(w: Wanted, *columns: Column) -> tuple[Slot, ...]:
    return tuple(Slot(w.entity, Op.BEFORE, c, current=False) for c in columns)


def _previous(w: Wanted) -> tuple[Slot, ...]:
    return (Slot(w.entity, Op.TIME_BEFORE, current=False),)


def _age(w: Wanted) -> tuple[Slot, ...]:
    return _before(w, Column(Kind.FIRST))


def _changed(w: Wanted) -> tuple[Slot, ...]:
    return _before(w, Column(Kind.LAST, w.of))


def _speed(w: Wanted) -> tuple[Slot, ...]:
    fields = ("latitude", "longitude", "located_at")
    return _before(w, *(Column(Kind.LAST, field) for field in fields))


NORMAL = (Kind.NORMAL_COUNT, Kind.NORMAL_SUM, Kind.NORMAL_HIGH, Kind.NORMAL_LOW)


def _normal(w: Wanted) -> tuple[Slot, ...]:
    columns = [Column(kind, "amount", w.filter, w.trim) for kind in NORMAL]
    return _before(w, *columns)


def _unusual(w: Wanted) -> tuple[Slot, ...]:
    column = Column(Kind.UNUSUAL, "amount", w.filter, w.trim)
    return (Slot(w.entity, Op.TOTAL, column, w.window_ms, current=False),)


def _mean_before(w: Wanted) -> tuple[Slot, ...]:
    return (
        _total(w, Kind.SUM, "amount", current=False),
        _total(w, Kind.COUNT, "amount", current=False),
    )


def _label(w: Wanted, op: Op, *, window: bool = False) -> Slot:
    column = Column(Kind.COUNT, "", w.filter)
    span = w.window_ms if window else 0
    return Slot(w.entity, op, column, span, w.delay_ms, current=False)


def _fraud_rate(w: Wanted) -> tuple[Slot, ...]:
    count = _total(w, Kind.COUNT, "", current=False)
    return (_label(w, Op.FRAUDS, window=True), count)


def _streak(w: Wanted) -> tuple[Slot, ...]:
    return (_label(w, Op.STREAK),)


def _streak_age(w: Wanted) -> tuple[Slot, ...]:
    return (_label(w, Op.STREAK_START),)


def _since_fraud(w: Wanted) -> tuple[Slot, ...]:
    return (_label(w, Op.FRAUD_TIME),)


_FILTER = frozenset({"filter"})
_MEASURE = frozenset({"filter", "measure"})
_OF = frozenset({"of"})
_LABELS = frozenset({"filter", "delay"})
_MONEY = "minor units of the reference currency"

STATISTICS: dict[str, Statistic] = {
    "count": Statistic(
        slots=_count,
        derive="copy",
        unit="transactions",
        takes=_FILTER | {"delay"},
        counts_outcomes=True,
    ),
    "sum": Statistic(
        of_amounts=True,
        slots=_sum,
        derive="copy",
        unit=_MONEY,
        takes=_MEASURE | {"delay"},
        counts_outcomes=True,
    ),
    "mean": Statistic(
        of_amounts=True,
        spoiled=True,
        slots=_mean,
        derive="mean",
        unit=_MONEY,
        takes=_MEASURE | {"delay"},
        counts_outcomes=True,
    ),
    "std": Statistic(
        of_amounts=True,
        spoiled=True,
        slots=_std,
        derive="std",
        unit=_MONEY,
        takes=_MEASURE,
        counts_outcomes=True,
    ),
    "max": Statistic(
        of_amounts=True, slots=_largest, derive="copy", unit=_MONEY, takes=_MEASURE
    ),
    "min": Statistic(
        of_amounts=True, slots=_smallest, derive="negate", unit=_MONEY, takes=_MEASURE
    ),
    "distinct": Statistic(
        slots=_distinct, derive="copy", unit="counterparts", needs=_OF, takes=_FILTER
    ),
    "new": Statistic(
        slots=_seen, derive="new", unit="flag", includes_current=False, needs=_OF
    ),
    "since_last": Statistic(
        slots=_previous,
        derive="since",
        unit="seconds",
        windowed=False,
        includes_current=False,
    ),
    "age": Statistic(
        slots=_age,
        derive="age",
        unit="seconds",
        windowed=False,
        includes_current=False,
    ),
    "changed": Statistic(
        slots=_changed,
        derive="changed",
        unit="flag",
        windowed=False,
        includes_current=False,
        needs=_OF,
    ),
    "speed": Statistic(
        slots=_speed,
        derive="speed",
        unit="km/h",
        windowed=False,
        includes_current=False,
    ),
    "ratio_to_mean": Statistic(
        of_amounts=True,
        spoiled=True,
        slots=_mean_before,
        derive="ratio",
        unit="ratio",
        includes_current=False,
        takes=_FILTER,
    ),
    "ratio_to_normal": Statistic(
        slots=_normal,
        derive="ratio_to_normal",
        unit="ratio",
        windowed=False,
        includes_current=False,
        takes=_FILTER | {"trim"},
    ),
    "normal": Statistic(
        slots=_normal,
        derive="normal",
        unit=_MONEY,
        windowed=False,
        includes_current=False,
        takes=_FILTER | {"trim"},
    ),
    "zscore": Statistic(
        slots=_normal,
        derive="zscore",
        unit="standard deviations",
        windowed=False,
        includes_current=False,
        takes=_FILTER | {"trim"},
    ),
    "unusual_count": Statistic(
        of_amounts=True,
        slots=_unusual,
        derive="copy",
        unit="transactions",
        includes_current=False,
        takes=_FILTER | {"trim"},
    ),
    "fraud_rate": Statistic(
        slots=_fraud_rate,
        derive="rate",
        unit="share",
        includes_current=False,
        needs=frozenset({"delay"}),
        takes=_LABELS | {"prior"},
    ),
    "fraud_streak": Statistic(
        slots=_streak,
        derive="copy",
        unit="transactions",
        windowed=False,
        includes_current=False,
        needs=frozenset({"delay"}),
        takes=_LABELS,
    ),
    "fraud_streak_age": Statistic(
        slots=_streak_age,
        derive="since",
        unit="seconds",
        windowed=False,
        includes_current=False,
        needs=frozenset({"delay"}),
        takes=_LABELS,
    ),
    "since_fraud": Statistic(
        slots=_since_fraud,
        derive="since",
        unit="seconds",
        windowed=False,
        includes_current=False,
        needs=frozenset({"delay"}),
        takes=_LABELS,
    ),
    "value": Statistic(
        slots=lambda _w: (),
        derive="value",
        unit="",
        windowed=False,
        needs=frozenset({"expression"}),
    ),
}
