"""The stream door: what waits in Kafka, and whether it moves."""

from __future__ import annotations

from scoring.ports.metrics.metric import Unit, counter, gauge, histogram

LATENCY = histogram(
    "fraud_stream_latency_seconds",
    "From a transaction's append to the acknowledged append of its decision.",
    "Grows with the lag: add workers, up to the partitions.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
LAG = gauge(
    "fraud_stream_lag_records", Unit.RECORDS,
    "This worker's share of the lag: records that can be read and are not judged yet.",
    "Growing: add workers, up to the partitions; compare with the group's own lag.",
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
