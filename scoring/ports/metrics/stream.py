"""The stream door: what waits in Kafka, and whether it moves."""

from __future__ import annotations

from scoring.ports.metrics.metric import MetricLabel, Unit, counter, gauge, histogram

LATENCY = histogram(
    "fraud_stream_latency_seconds",
    "From a transaction's append to the acknowledged append of its decision.",
    "Grows with the lag: add workers, up to the partitions.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
LAG = gauge(
    "fraud_stream_lag_records", Unit.RECORDS,
    "This worker's share of the lag: records that can be read and are not judged yet.",
    "Growing: add workers, up to the partitions; compare with the group's own lag. "
    "NaN: no broker answers, nobody knows.", unknown=True,
)  # fmt: skip
HELD_BACK = gauge(
    "fraud_stream_held_back_records", Unit.RECORDS,
    "Records behind an open Kafka transaction of their producer: not counted as lag.",
    "A log line names partition and offset after 30 s: find its producer.",
)  # fmt: skip
MISSING_TOPICS = gauge(
    "fraud_stream_missing_topics", Unit.TOPICS,
    "Input topics missing at the brokers: 503 on /livez, a log line a minute.",
    "`scoring topics create` makes them; the worker then ends, to start with them.",
)  # fmt: skip
PROGRESS = gauge(
    "fraud_stream_progress_timestamp_seconds", Unit.SECONDS,
    "When the stream last made progress or had a reason to wait.",
    "If records wait without progress for two minutes, the worker ends itself.",
)  # fmt: skip
DELETED_UNREAD = counter(
    "fraud_stream_deleted_unread_total", Unit.OFFSETS,
    "Offsets that retention deleted before they were read, at most.",
    "Raise retention.ms or find what delayed the workers.",
)  # fmt: skip
REMADE = counter(
    "fraud_stream_remade_partitions", Unit.PARTITIONS,
    "Partitions read from their start, because their topic was created again after the "
    "last commit.",
    "Who deleted the topic? What it held and nobody read is lost.",
)  # fmt: skip
_TOPIC = MetricLabel("input", ("transactions", "labels", "events"))
ASSIGNED = gauge(
    "fraud_stream_assigned_partitions", Unit.PARTITIONS,
    "Partitions that this worker reads.",
    "Over all workers it is the subscribed number; 0 for long: more workers than "
    "partitions, or a group that does not settle.", _TOPIC,
)  # fmt: skip
SUBSCRIBED = gauge(
    "fraud_stream_subscribed_partitions", Unit.PARTITIONS,
    "Partitions that the topic has.",
    "More than are assigned over all workers: nobody reads the rest.",
    _TOPIC, unknown=True,
)  # fmt: skip
REBALANCES = counter(
    "fraud_stream_rebalances", Unit.TIMES,
    "Times that this worker was given partitions.",
    "Often: workers come and go, or miss their session (SCORING_SESSION_TIMEOUT_S).",
)  # fmt: skip
COMMITTED = gauge(
    "fraud_stream_commit_timestamp_seconds", Unit.SECONDS,
    "When an offset was committed last; NaN before the first.",
    "Old while records come: they are read and not finished; after a crash they are "
    "read again.", unknown=True,
)  # fmt: skip
