"""Charts as SVG, drawn here: each with a sentence that says the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
