"""Every metric that a process shows: one closed set, declared once, by what it is of.

`docs/metrics.md` is made of it, and so is whatever Prometheus is shown.
"""

from types import ModuleType

from scoring.ports.metrics import (
    calls,
    control,
    decisions,
    outside,
    stream,
    versions,
    watching,
)
from scoring.ports.metrics.metric import Metric, MetricKind, MetricLabel, Unit

__all__ = ["METRICS", "ROOMS", "Metric", "MetricKind", "MetricLabel", "Unit"]

ROOMS: tuple[ModuleType, ...] = (
    calls, decisions, outside, stream, versions, watching, control,
)  # fmt: skip


def declared(room: ModuleType) -> tuple[Metric, ...]:
    """The metrics that a module declares, in order."""
    return tuple(made for made in vars(room).values() if isinstance(made, Metric))


METRICS = tuple(metric for room in ROOMS for metric in declared(room))
