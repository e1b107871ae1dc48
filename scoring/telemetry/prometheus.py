"""What is counted, as Prometheus metrics: one closed, documented set."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from scoring.core.decision.decision import Door, Outcome
from scoring.core.release.replica import ReplicaReport
from scoring.errors import TransactionConflict
from scoring.models.drift import ModelDrift
from scoring.pipeline.answer import Decided
from scoring.ports import metrics
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.model import Matrix, Model, Scores

_US_PER_S = 1_000_000
_MS_PER_S = 1_000
_STAGE_BUCKETS_S = (
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.5,
)  # fmt: skip
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

# Of the calibrated score: most transactions lie in the first, most frauds beyond.
_BAND_ENDS = (0.01, 0.05, 0.2, 0.5)
_BANDS = ("0", *map(str, _BAND_ENDS))


class PrometheusTelemetry:
    """Counts batches, decisions by outcome, and named events.

    Labels are bounded: doors, outcomes, stages and event names; never an id.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(metric: metrics.Metric) -> Counter:
            return Counter(*metric.told, registry=registry)

        self._decisions = counter(metrics.DECISIONS)
        self._repeats = counter(metrics.REPEATS)
        self._conflicts = counter(metrics.CONFLICTS)
        self._stages = Histogram(
            *metrics.STAGES.told, buckets=_STAGE_BUCKETS_S, registry=registry
        )
        self._batch = Histogram(
            *metrics.BATCH.told, buckets=_BATCH_BUCKETS, registry=registry
        )
        self._events = counter(metrics.EVENTS)
        self._available = Gauge(*metrics.AVAILABLE.told, registry=registry)
        self._policy = Gauge(*metrics.POLICY.told, registry=registry)
        self._release = Gauge(*metrics.RELEASE.told, registry=registry)
        self._published = Gauge(*metrics.RELEASE_PUBLISHED.told, registry=registry)
        self._lists = Gauge(*metrics.LISTS_REVISION.told, registry=registry)
        self._refused = Gauge(*metrics.RELEASES_REFUSED.told, registry=registry)
        self._labelled = counter(metrics.LABELLED)
        self._expected = counter(metrics.LABELLED_EXPECTED)
        self._drift = ModelDrift()
        registry.register(self._drift)
        self._children: dict[tuple[Outcome, Door, bool], Counter] = {}
        self._stage_children: dict[str, Histogram] = {}

    def answered(
        self,
        checks: Sequence[Check],
        answers: Sequence[object],
        durations_us: Mapping[str, int],
    ) -> None:
        """Count one batch."""
        self._batch.observe(len(checks))
        for stage, duration_us in durations_us.items():
            self._stage(stage).observe(duration_us / _US_PER_S)
        for check, answer in zip(checks, answers, strict=True):
            if isinstance(answer, TransactionConflict):
                self._conflicts.inc()
            elif isinstance(answer, Decided):
                self._decided(check, answer)

    def _decided(self, check: Check, answer: Decided) -> None:
        if check.dry_run:
            return
        if not (answer.first or answer.provisional):
            self._repeats.inc()
            return
        key = (answer.outcome, check.door, answer.provisional)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._decisions.labels(
                answer.outcome.name.lower(),
                check.door.name.lower(),
                "true" if answer.provisional else "false",
            )
        child.inc()

    def _stage(self, stage: str) -> Histogram:
        child = self._stage_children.get(stage)
        if child is None:
            child = self._stage_children[stage] = self._stages.labels(stage)
        return child

    def count(self, event: Event, n: int = 1) -> None:
        """Count a named event."""
        self._events.labels(event.value).inc(n)

    def watch(self, outside: Mapping[str, Callable[[], bool]]) -> None:
        """Tell at each scrape which outside systems are available."""
        for system, is_available in outside.items():
            self._available.labels(system).set_function(is_available)

    def runs(self, report: ReplicaReport, *, published_at_ms: int) -> None:
        """Show what this process runs from now on; ms since 1970, 0 for no release."""
        self._policy.clear()
        self._policy.labels(report.policy, "policy").set(1)
        if report.candidate is not None:
            self._policy.labels(report.candidate, "candidate").set(1)
        self._release.set(report.release)
        self._published.set(published_at_ms / _MS_PER_S)
        self._lists.set(report.list_revision)
        self._refused.set(bool(report.refused))

    def expect(self, model: Model) -> None:
        """Compare scores and features with this model's baseline from now on."""
        self._drift.expect(model.version, model.feature_names, model.baseline)

    def scored(self, model: str, matrix: Matrix, scores: Scores) -> None:
        """Keep a sample of what was scored, for the next scrape."""
        self._drift.seen(model, matrix, scores.probability)

    def judged(self, model: str, score: float, *, fraud: bool) -> None:
        """Count a label beside the score that the transaction got."""
        band = _band(score)
        verdict = "fraud" if fraud else "genuine"
        self._labelled.labels(model, band, verdict).inc()
        self._expected.labels(model, band).inc(score)


def _band(score: float) -> str:
    """The band of a score, by its lower end.

    >>> _band(0.0), _band(0.07), _band(1.0)
    ('0', '0.05', '0.5')
    """
    return _BANDS[bisect_right(_BAND_ENDS, score)]


class SilentTelemetry:
    """Counts nothing: for offline use and tests that look elsewhere."""

    def answered(
        self,
        checks: Sequence[Check],
        answers: Sequence[object],
        durations_us: Mapping[str, int],
    ) -> None:
        """Count nothing."""

    def count(self, event: Event, n: int = 1) -> None:
        """Count nothing."""

    def scored(self, model: str, matrix: Matrix, scores: Scores) -> None:
        """Keep nothing."""

    def judged(self, model: str, score: float, *, fraud: bool) -> None:
        """Count nothing."""
