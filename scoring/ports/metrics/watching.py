"""Being watched: what a process says that nobody takes from it."""

from __future__ import annotations

from scoring.ports.metrics.metric import Unit, counter

LINES_DROPPED = counter(
    "fraud_log_dropped_lines", Unit.LINES,
    "Lines of the log that were dropped, because nobody read standard error while "
    "4 MiB of them waited.",
    "Who reads it is stalled or too slow: the log's collector, or the disk behind it.",
)  # fmt: skip
