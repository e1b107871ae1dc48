"""What a metric is: its name, its kind and unit, its labels, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import product


class MetricKind(Enum):
    """Prometheus's kinds; a counter's name ends in _total where it is scraped."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Unit(Enum):
    """What a metric counts; all but bare numbers end the name."""

    SECONDS = "seconds"
    BYTES = "bytes"
    TRANSACTIONS = "transactions"
    DECISIONS = "decisions"
    RECORDS = "records"
    TOPICS = "topics"
    PARTITIONS = "partitions"
    OFFSETS = "offsets"
    CALLS = "calls"
    REQUESTS = "requests"
    ROWS = "rows"
    REPLICAS = "replicas"
    SHARE = "share"
    INDEX = "stability"
    FLAG = "available"
    STATE = "state"
    INFO = "info"
    NUMBER = "number"
    RELEASES = "releases"
    LINES = "lines"
    TIMES = ""  # how often something happened


@dataclass(frozen=True, slots=True)
class MetricLabel:
    """One label: the closed list of its values, or what bounds them.

    Never an id, and never anything that a caller chooses.
    """

    name: str
    values: tuple[str, ...] = ()
    bounded_by: str = ""

    def __post_init__(self) -> None:
        """Raises `TypeError` for a label that nothing bounds."""
        if bool(self.values) == bool(self.bounded_by):
            raise TypeError(f"label {self.name}: give its values, or what bounds them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric: name without _total, kind, unit, what it says and asks for.

    `act` is what to do when it moves. `buckets` are upper ends, in its unit. What is
    `unknown` at first is NaN until somebody says, not 0.
    """

    name: str
    kind: MetricKind
    unit: Unit
    meaning: str
    act: str
    labels: tuple[MetricLabel, ...] = ()
    buckets: tuple[float, ...] = ()
    unknown: bool = False

    @property
    def scraped(self) -> str:
        """The name as it is scraped."""
        counter = self.kind is MetricKind.COUNTER
        return f"{self.name.removesuffix('_total')}_total" if counter else self.name

    @property
    def told(self) -> tuple[str, str, tuple[str, ...]]:
        """What Prometheus's own classes take first."""
        return self.name, self.meaning, tuple(label.name for label in self.labels)

    @property
    def at_first(self) -> tuple[tuple[str, ...], ...]:
        """The values of the labels of every series that a start knows.

        All of them where each label is a closed list; none where one is not.

        >>> labels = MetricLabel("a", ("x", "y")), MetricLabel("b", ("z",))
        >>> count = counter("n", Unit.TIMES, "", "", *labels)
        >>> count.at_first
        (('x', 'z'), ('y', 'z'))
        """
        if not self.labels:
            return ()
        return tuple(product(*(label.values for label in self.labels)))


def counter(
    name: str, unit: Unit, meaning: str, act: str, *labels: MetricLabel
) -> Metric:
    """What only grows."""
    return Metric(
        name=name,
        kind=MetricKind.COUNTER,
        unit=unit,
        meaning=meaning,
        act=act,
        labels=labels,
    )


def gauge(  # a declaration, read as one
    name: str,
    unit: Unit,
    meaning: str,
    act: str,
    *labels: MetricLabel,
    unknown: bool = False,
) -> Metric:
    """What goes up and down."""
    return Metric(
        name=name,
        kind=MetricKind.GAUGE,
        unit=unit,
        meaning=meaning,
        act=act,
        labels=labels,
        unknown=unknown,
    )


def histogram(
    name: str,
    meaning: str,
    act: str,
    *labels: MetricLabel,
    buckets: tuple[float, ...],
    unit: Unit = Unit.SECONDS,
) -> Metric:
    """How often it was at most each of its buckets."""
    return Metric(
        name=name,
        kind=MetricKind.HISTOGRAM,
        unit=unit,
        meaning=meaning,
        act=act,
        labels=labels,
        buckets=buckets,
    )
