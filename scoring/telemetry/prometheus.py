"""What is counted, as Prometheus metrics: one closed, documented set."""

from __future__ import annotations

import platform
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from math import nan

from prometheus_client import REGISTRY, CollectorRegistry

from scoring.core.decision.decision import DecisionCore, Door
from scoring.core.release.replica import ReplicaReport
from scoring.errors import TransactionConflict
from scoring.models.drift import ModelDrift
from scoring.pipeline.answer import Decided
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.metrics import Metric, decisions, outside, versions, watching
from scoring.ports.metrics.decisions import BAND_ENDS, BANDS
from scoring.ports.model import Matrix, Model, Scores
from scoring.telemetry.call_metrics import CallMetrics
from scoring.telemetry.decision_lines import DecisionLines
from scoring.telemetry.decision_metrics import DecisionMetrics
from scoring.telemetry.families import (
    BulkHistogram,
    ReadCounter,
    counter_of,
    gauge_of,
    histogram_of,
)
from scoring.telemetry.logs import lines_dropped
from scoring.telemetry.tracing import Tracing

_US_PER_S = 1_000_000
_MS_PER_S = 1_000
# Read when they are scraped: see `shows`.
_READ = (
    decisions.WAITING, decisions.DECIDING, outside.REASON, outside.CIRCUIT,
    outside.PROVISIONAL, outside.PROVISIONAL_AGE, outside.SPOOL, outside.LOG_WAITING,
    outside.LOG_WAITING_AGE, outside.OUTBOX, outside.STORE_MEMORY,
    outside.STORE_MEMORY_MAX, outside.SCRIPT_SECONDS, outside.SCRIPT_CALLS,
    versions.CERTIFICATE,
)  # fmt: skip


class PrometheusTelemetry:
    """Counts batches, decisions by what made them, and named events.

    Labels are bounded: doors, outcomes, stages, versions in force; never an id.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        definitions: str = "",
        lines: DecisionLines = DecisionLines(),  # noqa: B008 - it is frozen
        tracing: Tracing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`definitions` is the version of the feature definitions.

        `traced` is what became of calls that are traced, by `watching.FATES`.
        """
        self._lines = lines
        self.tracing = tracing
        self.traced: Mapping[str, int] = {}
        self._monotonic = monotonic
        self.calls = CallMetrics(registry)
        self._made = DecisionMetrics(definitions, registry)
        self._repeats = counter_of(decisions.REPEATS, registry)
        self._conflicts = counter_of(decisions.CONFLICTS, registry)
        self._stages = BulkHistogram(decisions.STAGES, registry)
        self._seconds = BulkHistogram(decisions.SECONDS, registry)
        self._batch = histogram_of(decisions.BATCH, registry)
        events = counter_of(decisions.EVENTS, registry)
        self._events = {event: events.labels(event.value) for event in Event}
        self._letters = counter_of(decisions.DEAD_LETTERS, registry)
        self._available = gauge_of(outside.AVAILABLE, registry)
        self._read = {metric: gauge_of(metric, registry) for metric in _READ}
        self._policy = gauge_of(versions.POLICY, registry)
        self._model = gauge_of(versions.MODEL, registry)
        self._release = gauge_of(versions.RELEASE, registry)
        self._published = gauge_of(versions.RELEASE_PUBLISHED, registry)
        self._lists = gauge_of(versions.LISTS_REVISION, registry)
        self._refused = gauge_of(versions.RELEASES_REFUSED, registry)
        self._labelled = counter_of(decisions.LABELLED, registry)
        self._expected = counter_of(decisions.LABELLED_EXPECTED, registry)
        self.loop_lag = histogram_of(versions.LOOP_LAG, registry)
        ReadCounter(watching.LINES_DROPPED, lambda: {"": lines_dropped()}, registry)
        ReadCounter(watching.TRACED, lambda: self.traced, registry)
        self._drift = ModelDrift()
        registry.register(self._drift)
        build = (version("fraud-scoring"), platform.python_version(), definitions)
        gauge_of(versions.BUILD, registry).labels(*build).set(1)

    def answered(
        self,
        checks: Sequence[Check],
        answers: Sequence[object],
        durations_us: Mapping[str, int],
    ) -> None:
        """Count one batch."""
        now = self._monotonic()
        self._batch.observe(len(checks))
        for stage, duration_us in durations_us.items():
            self._stages.observe(stage, (duration_us / _US_PER_S,))
        seconds: defaultdict[Door, list[float]] = defaultdict(list)
        batch_s = sum(durations_us.values()) / _US_PER_S
        for check, answer in zip(checks, answers, strict=True):
            admitted_at = check.admitted_at
            took_s = batch_s if admitted_at is None else now - admitted_at
            seconds[check.door].append(took_s)
            if isinstance(answer, TransactionConflict):
                self._conflicts.inc()
            elif isinstance(answer, Decided) and _repeats(check, answer):
                self._repeats.inc()
        for door, values in seconds.items():
            self._seconds.observe(door.name.lower(), values)
        if self.tracing is not None:
            self.tracing.answered(checks, durations_us)

    def decided(
        self,
        checks: Sequence[Check],
        cores: Sequence[DecisionCore],
        answers: Sequence[object],
    ) -> None:
        """Count the decisions of one batch."""
        self._made.decided(checks, cores, answers)
        self._lines.say(checks, cores, answers)
        if self.tracing is not None:
            self.tracing.decided(checks, cores, answers)

    def dead_letter(self, source: str, problem: str) -> None:
        """Count a dead letter."""
        self._letters.labels(source, problem).inc()

    def count(self, event: Event, n: int = 1) -> None:
        """Count a named event."""
        self._events[event].inc(n)

    def watch(self, systems: Mapping[str, Callable[[], bool]]) -> None:
        """Tell at each scrape which outside systems are available."""
        for system, is_available in systems.items():
            self._available.labels(system).set_function(is_available)

    def shows(self, metric: Metric, read: Callable[[], float | None], *at: str) -> None:
        """Tell at each scrape what `read` says, NaN where it is None or fails.

        `at` are the values of its labels. It is called from the scraper's thread.
        """
        gauge = self._read[metric]
        known = gauge.labels(*at) if at else gauge
        known.set_function(partial(_known, read))

    def runs(self, report: ReplicaReport, *, published_at_ms: int) -> None:
        """Show what this process runs from now on; ms since 1970, 0 for no release."""
        self._policy.clear()
        self._policy.labels(report.policy, "policy").set(1)
        policies = (report.policy, report.candidate)
        self._made.policies_in_force(each for each in policies if each is not None)
        if report.candidate is not None:
            self._policy.labels(report.candidate, "candidate").set(1)
        self._release.set(report.release)
        self._published.set(published_at_ms / _MS_PER_S)
        self._lists.set(report.list_revision)
        self._refused.set(bool(report.refused))

    def expect(self, model: Model) -> None:
        """Compare scores and features with this model's baseline from now on."""
        self._drift.expect(model.version, model.feature_names, model.baseline)
        self._made.model_in_force(model.version)
        self._model.clear()
        self._model.labels(model.version).set(1)

    def scored(self, model: str, matrix: Matrix, scores: Scores) -> None:
        """Keep a sample of what was scored, for the next scrape."""
        self._drift.seen(model, matrix, scores.probability)

    def judged(self, model: str, score: float, *, fraud: bool) -> None:
        """Count a label beside the score that the transaction got."""
        band = _band(score)
        verdict = "fraud" if fraud else "genuine"
        self._labelled.labels(model, band, verdict).inc()
        self._expected.labels(model, band).inc(score)


def _repeats(check: Check, answer: Decided) -> bool:
    return not (check.dry_run or answer.first or answer.provisional)


def _known(read: Callable[[], float | None]) -> float:
    """A scrape shows all the others where one cannot be read."""
    try:
        found = read()
    except Exception:  # noqa: BLE001 - whatever changes while another thread reads it
        return nan
    return nan if found is None else float(found)


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

    def decided(
        self,
        checks: Sequence[Check],
        cores: Sequence[DecisionCore],
        answers: Sequence[object],
    ) -> None:
        """Count nothing."""

    def dead_letter(self, source: str, problem: str) -> None:
        """Count nothing."""

    def count(self, event: Event, n: int = 1) -> None:
        """Count nothing."""

    def scored(self, model: str, matrix: Matrix, scores: Scores) -> None:
        """Keep nothing."""

    def judged(self, model: str, score: float, *, fraud: bool) -> None:
        """Count nothing."""
