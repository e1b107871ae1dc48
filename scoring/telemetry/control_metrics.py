"""The control plane's metrics: what waits, who relays, which replicas lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry

from scoring.ports.metrics import control
from scoring.telemetry.families import counter_of, gauge_of


class ControlMetrics:
    """Gauges of the last look, and the requests that were answered.

    Labels are bounded: standings and statuses; never a person or a replica.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._waiting = gauge_of(control.WAITING, registry)
        self._relays = gauge_of(control.RELAYS, registry)
        self._replicas = gauge_of(control.REPLICAS, registry)
        self._requests = counter_of(control.REQUESTS, registry)
        self._cases = gauge_of(control.CASES, registry)
        self._oldest = gauge_of(control.CASE_OLDEST, registry)
        self._behind = gauge_of(control.CASE_BEHIND, registry)
        self._passed_over = gauge_of(control.CASE_PASSED_OVER, registry)
        self._labels = gauge_of(control.CASE_LABELS, registry)
        self._entries = gauge_of(control.LIST_ENTRIES, registry)
        self._changed = gauge_of(control.LIST_CHANGED, registry)
        self._imports = gauge_of(control.LIST_IMPORTS, registry)

    def answered(self, status: int) -> None:
        """Count one request by the status of its answer."""
        self._requests.labels(str(status)).inc()

    def looked(
        self, *, waiting: int, relays: bool, replicas: Mapping[Any, int]
    ) -> None:
        """Keep what a look found: records that wait, and replicas by standing."""
        self._waiting.set(waiting)
        self._relays.set(relays)
        for standing, count in replicas.items():
            self._replicas.labels(standing).set(count)

    def queue(self, states: Mapping[str, int], *, oldest_s: float, labels: int) -> None:
        """Keep how many cases there are of each state, and labels that wait."""
        for state, count in states.items():
            self._cases.labels(state).set(count)
        self._oldest.set(oldest_s)
        self._labels.set(labels)

    def intake(self, *, behind: int, passed_over: Mapping[str, int]) -> None:
        """Keep how far the reading of decisions is."""
        self._behind.set(behind)
        for why, count in passed_over.items():
            self._passed_over.labels(why).set(count)

    def lists(
        self,
        entries: Mapping[str, int],
        changed_s: Mapping[str, float],
        *,
        imports: Mapping[str, int],
    ) -> None:
        """Keep how large each list is and how old its last change, and imports.

        A list that was deleted is shown no more.
        """
        for family, values in ((self._entries, entries), (self._changed, changed_s)):
            family.clear()
            for name, value in values.items():
                family.labels(name).set(value)
        for state, count in imports.items():
            self._imports.labels(state).set(count)
