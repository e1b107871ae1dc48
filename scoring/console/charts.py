"""Charts as SVG, drawn here: each with a sentence that says the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log1p

from scoring.console.pages import number_of

_WIDTH, _HEIGHT = 600, 120
_SIDE = 100.0  # of a bar that goes both ways, to either side


@dataclass(frozen=True, slots=True)
class HistogramColumn:
    """A column of a histogram, in the coordinates of the drawing."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts over a range, on a logarithmic scale, and what they say in words."""

    columns: tuple[HistogramColumn, ...]
    summary: str
    width: int = _WIDTH
    height: int = _HEIGHT


def score_histogram(counts: Sequence[int]) -> Histogram:
    """How many scores lie in each of equal parts of 0 to 1.

    >>> drawn = score_histogram([9, 0, 0, 1])
    >>> drawn.summary
    'Of 10 scores 9 are below 0.25, and 1 is at least 0.75.'
    >>> [round(column.height) for column in drawn.columns]
    [120, 0, 0, 36]
    """
    largest, total, parts = max(counts, default=0), sum(counts), len(counts)
    width = _WIDTH / parts
    columns = []
    for place, count in enumerate(counts):
        height = _HEIGHT * log1p(count) / log1p(largest) if largest else 0.0
        title = f"{place / parts:g} to {(place + 1) / parts:g}: {count}"
        columns.append(
            HistogramColumn(place * width, _HEIGHT - height, width - 1, height, title)
        )
    return Histogram(tuple(columns), _summary(counts, total))


def _summary(counts: Sequence[int], total: int) -> str:
    if not total:
        return "No scores yet."
    quarter = max(1, len(counts) // 4)
    low, high = sum(counts[:quarter]), sum(counts[-quarter:])
    return (
        f"Of {total} score{'s' * (total > 1)} {low} {_are(low)} below 0.25, and {high} "
        f"{_are(high)} at least 0.75."
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar to the left or the right of a middle, of at most 100 to either side."""

    name: str
    value: float
    told: str
    x: float
    width: float
    raises: bool


def two_sided(values: Iterable[tuple[str, float]]) -> list[Bar]:
    """Bars as long as their values are large, beside one another.

    >>> [(bar.x, bar.width) for bar in two_sided([("a", 2.0), ("b", -1.0)])]
    [(100.0, 100.0), (50.0, 50.0)]
    """
    every = list(values)
    largest = max((abs(value) for _, value in every), default=0.0) or 1.0
    bars = []
    for name, value in every:
        width = _SIDE * abs(value) / largest
        left = _SIDE if value >= 0 else _SIDE - width
        told = f"{'+' if value > 0 else ''}{number_of(value)}"
        bars.append(Bar(name, value, told, left, width, value > 0))
    return bars


Points = Sequence[tuple[float, float]]
_LEFT, _TOP, _BOTTOM = 6.0, 6.0, 114.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, (x, y) in their own units, and what it is called."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line in the coordinates of the drawing; `kind` is its style's number."""

    name: str
    path: str
    kind: int


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over 0 to `x_max`, upright marks on them, and the largest value."""

    lines: tuple[DrawnLine, ...]
    marks: tuple[tuple[str, float], ...]
    x_max: float
    y_max: float
    width: int = _WIDTH
    height: int = _HEIGHT


def line_chart(
    lines: Sequence[Line],
    marks: Mapping[str, float] | None = None,
    *,
    x_max: float = 1.0,
    y_max: float | None = None,
) -> LineChart:
    """Lines from 0 to `x_max` and from 0 to the largest value, or to `y_max`.

    >>> drawn = line_chart([Line("a", [(0.0, 0.0), (1.0, 4.0)])], {"now": 0.5})
    >>> drawn.lines[0].path, drawn.marks, drawn.y_max
    ('6.0,114.0 594.0,6.0', (('now', 300.0),), 4.0)
    """
    values = [y for line in lines for _, y in line.points]
    top = (max(values, default=0.0) if y_max is None else y_max) or 1.0

    def across(x: float) -> float:
        return _LEFT + min(max(x / x_max, 0.0), 1.0) * (_WIDTH - 2 * _LEFT)

    def up(y: float) -> float:
        return _BOTTOM - min(max(y / top, 0.0), 1.0) * (_BOTTOM - _TOP)

    drawn = tuple(
        DrawnLine(
            line.name,
            " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line.points),
            kind,
        )
        for kind, line in enumerate(lines)
    )
    upright = tuple((name, round(across(x), 1)) for name, x in (marks or {}).items())
    return LineChart(drawn, upright, x_max, top)
