"""Being watched: what a process says that nobody takes from it."""

from __future__ import annotations

from scoring.ports.metrics.metric import MetricLabel, Unit, counter

FATES = ("sent", "full", "failed", "rejected")

LINES_DROPPED = counter(
    "fraud_log_dropped_lines", Unit.LINES,
    "Lines of the log that were dropped, because nobody read standard error while "
    "4 MiB of them waited, or because it took them no longer.",
    "Who reads it is stalled or too slow: the log's collector, or a full disk.",
)  # fmt: skip
TRACED = counter(
    "fraud_traced_calls", Unit.CALLS,
    "Calls whose spans were kept, by what became of them. sent: the collector has "
    "them; full: dropped, because 4,096 waited; failed: dropped, it did not take them; "
    "rejected: so many spans it refused. A publishing that ends after its call counts "
    "as one more.",
    "full or failed: the collector is unavailable or too slow, the log says which; "
    "decisions are not held up.",
    MetricLabel("fate", FATES),
)  # fmt: skip
