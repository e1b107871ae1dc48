"""What is counted, as Prometheus metrics: one closed, documented set."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from scoring.core.decision.decision import Door, Outcome
from scoring.core.release.replica import ReplicaReport
from scoring.errors import TransactionConflict
from scoring.models.drift import ModelDrift
from scoring.pipeline.answer import Decided
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.metrics import decisions, outside, versions
from scoring.ports.metrics.decisions import BAND_ENDS, BANDS
from scoring.ports.model import Matrix, Model, Scores
from scoring.telemetry.call_metrics import CallMetrics
from scoring.telemetry.families import counter_of, gauge_of, histogram_of

_US_PER_S = 1_000_000
_MS_PER_S = 1_000


class PrometheusTelemetry:
    """Counts batches, decisions by outcome, and named events.

    Labels are bounded: doors, outcomes, stages and event names; never an id.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._decisions = counter_of(decisions.MADE, registry)
        self._repeats = counter_of(decisions.REPEATS, registry)
        self._conflicts = counter_of(decisions.CONFLICTS, registry)
        self._stages = histogram_of(decisions.STAGES, registry)
        self._batch = histogram_of(decisions.BATCH, registry)
        self._events = counter_of(decisions.EVENTS, registry)
        self._available = gauge_of(outside.AVAILABLE, registry)
        self._policy = gauge_of(versions.POLICY, registry)
        self._release = gauge_of(versions.RELEASE, registry)
        self._published = gauge_of(versions.RELEASE_PUBLISHED, registry)
        self._lists = gauge_of(versions.LISTS_REVISION, registry)
        self._refused = gauge_of(versions.RELEASES_REFUSED, registry)
        self._labelled = counter_of(decisions.LABELLED, registry)
        self._expected = counter_of(decisions.LABELLED_EXPECTED, registry)
        self.calls = CallMetrics(registry)
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

    def watch(self, systems: Mapping[str, Callable[[], bool]]) -> None:
        """Tell at each scrape which outside systems are available."""
        for system, is_available in systems.items():
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
    return BANDS[bisect_right(BAND_ENDS, score)]


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
