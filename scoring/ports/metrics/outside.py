"""The systems outside: store and log, and what waits for them."""

from __future__ import annotations

from scoring.ports.metrics.metric import MetricLabel, Unit, gauge

AVAILABLE = gauge(
    "fraud_available", Unit.FLAG,
    "1 while a system is asked, 0 while it is unavailable. control: the topic of "
    "releases.",
    "0: the log names its address and what it said.",
    MetricLabel("system", bounded_by="store, log, and control where releases decide"),
)  # fmt: skip
