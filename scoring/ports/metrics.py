"""Every metric that a process shows: one closed set, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class MetricKind(Enum):
    """Prometheus's kinds; a counter's name ends in _total where it is scraped."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Unit(Enum):
    """What a metric counts; all but bare numbers end the name."""

    SECONDS = "seconds"
    TRANSACTIONS = "transactions"
    RECORDS = "records"
    TOPICS = "topics"
    PARTITIONS = "partitions"
    OFFSETS = "offsets"
    ROWS = "rows"
    REPLICAS = "replicas"
    SHARE = "share"
    INDEX = "stability"
    FLAG = "available"
    INFO = "info"
    NUMBER = "number"
    RELEASES = "releases"
    TIMES = ""  # how often something happened


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: name without _total, kind, unit, labels and what it says.

    Labels are bounded: never an id.
    """

    name: str
    kind: MetricKind
    unit: Unit
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def scraped(self) -> str:
        """The name as it is scraped.

        >>> CONFLICTS.scraped
        'fraud_conflicts_total'
        """
        counter = self.kind is MetricKind.COUNTER
        return f"{self.name.removesuffix('_total')}_total" if counter else self.name

    @property
    def told(self) -> tuple[str, str, tuple[str, ...]]:
        """What Prometheus's own classes take first."""
        return self.name, self.meaning, self.labels


_C, _G, _H = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM
DECISIONS = Metric(
    "fraud_decisions", _C, Unit.TIMES,
    'Decisions made; look into any provisional="true" and a jump in one outcome.',
    ("outcome", "door", "provisional"),
)  # fmt: skip
REPEATS = Metric(
    "fraud_repeats", _C, Unit.TIMES, "Repeats answered with the recorded decision."
)  # fmt: skip
CONFLICTS = Metric(
    "fraud_conflicts", _C, Unit.TIMES,
    "Ids sent with another payload: a caller reuses ids.",
)  # fmt: skip
STAGES = Metric(
    "fraud_stage_seconds", _H, Unit.SECONDS,
    "Time of one batch by stage: which one grew.", ("stage",),
)  # fmt: skip
BATCH = Metric(
    "fraud_batch_transactions", _H, Unit.TRANSACTIONS,
    "Transactions decided together; more under load, which is how load is absorbed.",
)  # fmt: skip
EVENTS = Metric(
    "fraud_events", _C, Unit.TIMES,
    "Named events; docs/metrics.md says what each means.", ("event",),
)  # fmt: skip
AVAILABLE = Metric(
    "fraud_available", _G, Unit.FLAG,
    "1 while a system (store, log; control: the topic of releases) is asked, 0 while "
    "it is unavailable.",
    ("system",),
)  # fmt: skip
LABELLED = Metric(
    "fraud_labelled", _C, Unit.TIMES,
    "Labels reported, by model, range of its score and verdict of the label.",
    ("model", "band", "verdict"),
)  # fmt: skip
LABELLED_EXPECTED = Metric(
    "fraud_labelled_expected", _C, Unit.TIMES,
    "Frauds that the scores of labelled transactions add up to.", ("model", "band"),
)  # fmt: skip
STREAM_LATENCY = Metric(
    "fraud_stream_latency_seconds", _H, Unit.SECONDS,
    "From a transaction's append to the acknowledged append of its decision.",
)  # fmt: skip
STREAM_LAG = Metric(
    "fraud_stream_lag_records", _G, Unit.RECORDS,
    "This worker's share of the lag: records that can be read and are not judged yet.",
)  # fmt: skip
STREAM_HELD_BACK = Metric(
    "fraud_stream_held_back_records", _G, Unit.RECORDS,
    "Records behind an open Kafka transaction of their producer: not counted as lag; a "
    "log line names partition and offset after 30 s.",
)  # fmt: skip
STREAM_MISSING_TOPICS = Metric(
    "fraud_stream_missing_topics", _G, Unit.TOPICS,
    "Input topics missing at the brokers: 503 on /livez, a log line a minute; once "
    "they are created again the worker ends, to start with them.",
)  # fmt: skip
STREAM_PROGRESS = Metric(
    "fraud_stream_progress_timestamp_seconds", _G, Unit.SECONDS,
    "When the stream last made progress or had a reason to wait; if records wait "
    "without progress for two minutes, the worker ends itself.",
)  # fmt: skip
STREAM_DELETED_UNREAD = Metric(
    "fraud_stream_deleted_unread_total", _C, Unit.OFFSETS,
    "Offsets that retention deleted before they were read, at most: raise retention.ms "
    "or find what delayed the workers.",
)  # fmt: skip
STREAM_REMADE = Metric(
    "fraud_stream_remade_partitions", _C, Unit.PARTITIONS,
    "Partitions read from their start, because their topic was created again after the "
    "last commit.",
)  # fmt: skip
MODEL_ROWS = Metric(
    "fraud_model_rows", _G, Unit.ROWS,
    "Sampled rows of the last day behind the next three metrics, which are absent "
    "below 1,000.", ("model",),
)  # fmt: skip
SCORE_STABILITY = Metric(
    "fraud_score_stability", _G, Unit.INDEX,
    "Stability index of the score, last day: above 0.25 scores are no longer "
    "distributed as in training.", ("model",),
)  # fmt: skip
FEATURE_STABILITY = Metric(
    "fraud_feature_stability", _G, Unit.INDEX,
    "Stability index of known values, last day: which input moved.",
    ("model", "feature"),
)  # fmt: skip
FEATURE_MISSING = Metric(
    "fraud_feature_missing_share", _G, Unit.SHARE,
    "Share of missing values, last two hours, minus that at training (may be < 0).",
    ("model", "feature"),
)  # fmt: skip
CONTROL_WAITING = Metric(
    "fraud_control_waiting_records", _G, Unit.RECORDS,
    "Released records that are not in the topic yet: above 0 for seconds, the relay or "
    "the broker is at fault; the log says which.",
)  # fmt: skip
CONTROL_RELAYS = Metric(
    "fraud_control_relay_available", _G, Unit.FLAG,
    "1 in the copy of the control plane that relays releases; over all copies it is 1.",
)  # fmt: skip
CONTROL_REPLICAS = Metric(
    "fraud_control_replicas", _G, Unit.REPLICAS,
    "Processes that decide, by how they follow releases: alarm on lagging, refusing "
    "and silent.", ("standing",),
)  # fmt: skip
CONTROL_REQUESTS = Metric(
    "fraud_control_requests", _C, Unit.TIMES,
    "Requests to the control plane, by the status of the answer.", ("status",),
)  # fmt: skip

POLICY = Metric(
    "fraud_policy_info", _G, Unit.INFO,
    "1 for each policy version that decides, by arm (policy, candidate).",
    ("policy", "arm"),
)  # fmt: skip
RELEASE = Metric(
    "fraud_release_number", _G, Unit.NUMBER,
    "Release in force; 0 where a file decides. A process below the others lags.",
)  # fmt: skip
RELEASE_PUBLISHED = Metric(
    "fraud_release_published_timestamp_seconds", _G, Unit.SECONDS,
    "When the release in force was published; 0 where a file decides.",
)  # fmt: skip
LISTS_REVISION = Metric(
    "fraud_lists_revision_number", _G, Unit.NUMBER,
    "Revision of the managed lists in force; 0 where there are none.",
)  # fmt: skip
RELEASES_REFUSED = Metric(
    "fraud_refused_releases", _G, Unit.RELEASES,
    "1 while what was published last is refused and the last good release decides; the "
    "log says why; should stay 0.",
)  # fmt: skip

METRICS = tuple(made for made in globals().values() if isinstance(made, Metric))
