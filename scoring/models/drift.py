"""Whether scores and features still look as they did when the model was trained."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from scoring.core.model.bundle import Baseline, Distribution
from scoring.core.model.stability import bin_counts, stability_index
from scoring.ports.metrics import Metric, decisions
from scoring.ports.model import Matrix

ROWS_MAX = 4_096  # looked at between two scrapes; of more, the latest
ROWS_MIN = 1_000  # fewer say nothing
_HOUR_S = 3_600.0
# A day, so that the hour of the day is not drift.
_HOURS = 24
# What is missing is judged on the last hours alone: a feed that broke shows soon.
_HOURS_MISSING = 2


@dataclass(slots=True)
class _Window:
    """Rows that one model scored: the latest as they were, a day of them counted.

    `expected` is the baseline of each column: the features, and last the score.
    """

    version: str
    names: tuple[str, ...]
    expected: tuple[Distribution, ...]
    rows: Matrix
    filled: int = 0
    at: int = 0
    hour: int = -1
    hours: deque[list[NDArray[np.int64]]] = field(
        default_factory=lambda: deque(maxlen=_HOURS)
    )

    def add(self, matrix: Matrix, probability: NDArray[np.float32]) -> None:
        """Copy the latest rows: two copies a batch, however many rows it has."""
        count = min(len(matrix), ROWS_MAX)
        if self.at + count > ROWS_MAX:
            self.at = 0
        upto = self.at + count
        self.rows[self.at : upto, :-1] = matrix[-count:]
        self.rows[self.at : upto, -1] = probability[-count:]
        self.at = upto
        self.filled = max(self.filled, upto)

    def taken(self) -> Matrix:
        """The rows since the last time, which are then forgotten."""
        rows = self.rows[: self.filled]
        self.rows = np.empty_like(self.rows)
        self.filled = self.at = 0
        return rows

    def count(self, rows: Matrix, hour: int) -> None:
        """Add rows to the counts of an hour."""
        counts = [bin_counts(d, rows[:, i]) for i, d in enumerate(self.expected)]
        if hour == self.hour and self.hours:
            counts = [a + b for a, b in zip(self.hours.pop(), counts, strict=True)]
        self.hour = hour
        self.hours.append(counts)


def _sum(hours: list[list[NDArray[np.int64]]]) -> list[NDArray[np.int64]]:
    return [np.sum(column, axis=0) for column in zip(*hours, strict=True)]


class ModelDrift(Collector):
    """Gauges of population stability and of missing features, counted when asked.

    Deciding pays for a copy of each batch's vectors; the counting is done in the
    thread that is scraped. A sample: at most 4,096 rows between two scrapes.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()  # of the rows: held for a copy
        self._counting = threading.Lock()  # of the counts: scrapes may overlap
        self._window: _Window | None = None

    def expect(
        self, version: str, names: tuple[str, ...], baseline: Baseline | None
    ) -> None:
        """Compare with this model from now on; without a baseline, with nothing."""
        if baseline is None or not set(names) <= baseline.features.keys():
            self._window = None
            return
        expected = (*(baseline.features[name] for name in names), baseline.score)
        rows = np.empty((ROWS_MAX, len(expected)), np.float32)
        self._window = _Window(version, names, expected, rows)

    def seen(
        self, version: str, matrix: Matrix, probability: NDArray[np.float32]
    ) -> None:
        """Keep what a model scored, (n, features) and (n,)."""
        window = self._window
        if window is None or window.version != version:
            return
        with self._lock:
            window.add(matrix, probability)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges of the model that decides now; called by the scraper."""
        window = self._window
        if window is None:
            return
        with self._counting:
            with self._lock:
                rows = window.taken()
            window.count(rows, int(self._now_s() // _HOUR_S))
            yield from list(_gauges(window))


def _gauges(window: _Window) -> Iterator[GaugeMetricFamily]:
    day = _sum(list(window.hours))
    rows = _gauge(decisions.ROWS)
    count = int(day[-1].sum())
    rows.add_metric([window.version], count)
    yield rows
    if count < ROWS_MIN:
        return
    score = _gauge(decisions.SCORE_STABILITY)
    score.add_metric([window.version], stability_index(window.expected[-1], day[-1]))
    yield score
    yield from _feature_gauges(window, day)


def _feature_gauges(
    window: _Window, day: list[NDArray[np.int64]]
) -> Iterator[GaugeMetricFamily]:
    recent = _sum(list(window.hours)[-_HOURS_MISSING:])
    moved = _gauge(decisions.FEATURE_STABILITY)
    missing = _gauge(decisions.FEATURE_MISSING)
    for i, name in enumerate(window.names):
        labels, known = [window.version, name], window.expected[i]
        moved.add_metric(labels, stability_index(known, day[i]))
        share = recent[i][-1] / max(1, recent[i].sum())
        missing.add_metric(labels, float(share) - known.null_share)
    yield moved
    yield missing


def _gauge(metric: Metric) -> GaugeMetricFamily:
    name, meaning, labels = metric.told
    return GaugeMetricFamily(name, meaning, labels=labels)
