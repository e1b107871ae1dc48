"""Prometheus's own classes, made of declarations; every closed series begins at 0."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from math import nan

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from scoring.ports.metrics import Metric

# A series more for each counter, of which nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]


def counter_of(metric: Metric, registry: CollectorRegistry) -> Counter:
    """A counter, its closed series at 0."""
    made = Counter(*metric.told, registry=registry)
    _begin(made, metric)
    return made


def gauge_of(metric: Metric, registry: CollectorRegistry) -> Gauge:
    """A gauge, its closed series at 0."""
    made = Gauge(*metric.told, registry=registry)
    _begin(made, metric)
    if metric.unknown:
        for values in metric.at_first:
            made.labels(*values).set(nan)
        if not metric.labels:
            made.set(nan)
    return made


def histogram_of(metric: Metric, registry: CollectorRegistry) -> Histogram:
    """A histogram, its closed series at 0."""
    made = Histogram(*metric.told, buckets=metric.buckets, registry=registry)
    _begin(made, metric)
    return made


def _begin(made: Counter | Gauge | Histogram, metric: Metric) -> None:
    for values in metric.at_first:
        made.labels(*values)


class ReadCounter(Collector):
    """A counter of at most one label that is counted elsewhere, and read at a scrape.

    `read` gives a count for values of the label, "" where it has none.
    """

    def __init__(
        self,
        metric: Metric,
        read: Callable[[], Mapping[str, int]],
        registry: CollectorRegistry,
    ) -> None:
        self._metric, self._read = metric, read
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """As Prometheus wants it; called by the scraper."""
        name, meaning, labels = self._metric.told
        family = CounterMetricFamily(name, meaning, labels=labels)
        counts = self._read()
        for values in self._metric.at_first or ((),):
            family.add_metric(values, counts.get("".join(values), 0))
        yield family


class BulkHistogram(Collector):
    """A histogram of one label that takes many values at once.

    A tenth of the cost of one call each: every decision passes here. One thread counts;
    a scrape may miss the last of them.
    """

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._counts = {
            values: [0] * (len(metric.buckets) + 1) for values in metric.at_first
        }
        self._sums = dict.fromkeys(metric.at_first, 0.0)
        registry.register(self)

    def observe(self, label: str, values: Iterable[float]) -> None:
        """Count values, in the metric's unit."""
        counts = self._counts.get((label,))
        if counts is None:  # none of the closed list
            return
        ends, total = self._metric.buckets, 0.0
        for value in values:
            counts[bisect_left(ends, value)] += 1
            total += value
        self._sums[(label,)] += total

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """As Prometheus wants it; called by the scraper."""
        name, meaning, labels = self._metric.told
        family = HistogramMetricFamily(name, meaning, labels=labels)
        ends = [*map(str, self._metric.buckets), "+Inf"]
        for values, counts in self._counts.items():
            at_most = zip(ends, accumulate(counts), strict=True)
            family.add_metric(values, [*at_most], self._sums[values])
        yield family
