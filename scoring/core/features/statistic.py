"""Which stored slots each statistic reads, and how it is derived from them.

To add a statistic: an entry in `STATISTICS` and, where none fits, its formula in
derivation.py. Only one that no slot serves needs a new `Op` (slot.py), and a part for
it in each of the three engines: `READERS` of reference.py, `WINDOWS` or `FOLDS` of
training/offline, `PARTS` of stores/redis/script_compiler.py with its Lua.
tests/unit/core/features/test_declared_statistics.py says which is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scoring.core.features.slot import NORMAL, Column, Kind, Op, Slot


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
    counts_events: bool = False  # whether its filter may read lifecycle events
    of_amounts: bool = False  # "at least" over a window that holds an unknown amount
    spoiled: bool = False  # unknown over such a window
    falls: bool = False  # as time passes and nothing else is attempted: a velocity


def _total(w: Wanted, kind: Kind, measure: str, *, current: bool = True) -> Slot:
    column = Column(kind, measure, w.filter)
    # It is not decided yet, and nothing has happened to it.
    current = current and not column.by_outcome and not column.by_event
    return Slot(w.entity, Op.TOTAL, column, w.window_ms, w.delay_ms, current)


def _within(w: Wanted, op: Op, column: Column) -> Slot:
    return Slot(w.entity, op, column, w.window_ms, current=not column.by_event)


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
    return (_within(w, Op.LARGEST, column),)


def _smallest(w: Wanted) -> tuple[Slot, ...]:
    column = Column(Kind.MAX, f"-{w.measure}", w.filter)
    return (_within(w, Op.LARGEST, column),)


def _distinct(w: Wanted) -> tuple[Slot, ...]:
    column = Column(Kind.COUNTERPART, w.of, w.filter)
    return (_within(w, Op.DISTINCT, column),)


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


def _normal(w: Wanted) -> tuple[Slot, ...]:
    columns = [Column(kind, w.measure, w.filter, w.trim) for kind in NORMAL]
    return _before(w, *columns)


def _unusual(w: Wanted) -> tuple[Slot, ...]:
    column = Column(Kind.UNUSUAL, w.measure, w.filter, w.trim)
    return (Slot(w.entity, Op.TOTAL, column, w.window_ms, current=False),)


def _mean_before(w: Wanted) -> tuple[Slot, ...]:
    return (
        _total(w, Kind.SUM, w.measure, current=False),
        _total(w, Kind.COUNT, w.measure, current=False),
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
MONEY = "minor units of the reference currency"

STATISTICS: dict[str, Statistic] = {
    "count": Statistic(
        counts_events=True,
        falls=True,
        slots=_count,
        derive="copy",
        unit="transactions",
        takes=_FILTER | {"delay"},
        counts_outcomes=True,
    ),
    "sum": Statistic(
        counts_events=True,
        falls=True,
        of_amounts=True,
        slots=_sum,
        derive="copy",
        unit=MONEY,
        takes=_MEASURE | {"delay"},
        counts_outcomes=True,
    ),
    "mean": Statistic(
        counts_events=True,
        of_amounts=True,
        spoiled=True,
        slots=_mean,
        derive="mean",
        unit=MONEY,
        takes=_MEASURE | {"delay"},
        counts_outcomes=True,
    ),
    "std": Statistic(
        of_amounts=True,
        spoiled=True,
        slots=_std,
        derive="std",
        unit=MONEY,
        takes=_MEASURE,
        counts_outcomes=True,
    ),
    "max": Statistic(
        counts_events=True,
        of_amounts=True,
        slots=_largest,
        derive="copy",
        unit=MONEY,
        takes=_MEASURE,
    ),
    "min": Statistic(
        counts_events=True,
        of_amounts=True,
        slots=_smallest,
        derive="negate",
        unit=MONEY,
        takes=_MEASURE,
    ),
    "distinct": Statistic(
        counts_events=True,
        falls=True,
        slots=_distinct,
        derive="copy",
        unit="counterparts",
        needs=_OF,
        takes=_FILTER,
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
        takes=_MEASURE,
    ),
    "ratio_to_normal": Statistic(
        slots=_normal,
        derive="ratio_to_normal",
        unit="ratio",
        windowed=False,
        includes_current=False,
        takes=_MEASURE | {"trim"},
    ),
    "normal": Statistic(
        slots=_normal,
        derive="normal",
        unit=MONEY,
        windowed=False,
        includes_current=False,
        takes=_MEASURE | {"trim"},
    ),
    "zscore": Statistic(
        slots=_normal,
        derive="zscore",
        unit="standard deviations",
        windowed=False,
        includes_current=False,
        takes=_MEASURE | {"trim"},
    ),
    "unusual_count": Statistic(
        falls=True,
        of_amounts=True,
        slots=_unusual,
        derive="copy",
        unit="transactions",
        includes_current=False,
        takes=_MEASURE | {"trim"},
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
