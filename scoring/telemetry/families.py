"""Prometheus's own classes, made of declarations; every closed series begins at 0."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

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
    return made


def histogram_of(metric: Metric, registry: CollectorRegistry) -> Histogram:
    """A histogram, its closed series at 0."""
    made = Histogram(*metric.told, buckets=metric.buckets, registry=registry)
    _begin(made, metric)
    return made


def _begin(made: Counter | Gauge | Histogram, metric: Metric) -> None:
    for values in metric.at_first:
        made.labels(*values)
