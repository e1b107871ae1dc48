"""The calls of the doors that answer, by OpenTelemetry's names and by ours."""

from __future__ import annotations

from functools import partial

from prometheus_client import REGISTRY, CollectorRegistry

from scoring.core.decision.decision import Door
from scoring.ports.metrics import calls
from scoring.telemetry.families import counter_of, gauge_of, histogram_of

_RPC = {name: f"scoring.v1.FraudScoring/{name}" for name in calls.RPCS}
_SYSTEM = "grpc"


class CallMetrics:
    """`ports.telemetry.CallTelemetry`, for Prometheus."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._in_flight = dict.fromkeys((Door.GRPC, Door.HTTP), 0)
        in_flight = gauge_of(calls.IN_FLIGHT, registry)
        for door in self._in_flight:
            count = partial(self._in_flight.__getitem__, door)
            in_flight.labels(door.name.lower()).set_function(count)
        refusals = counter_of(calls.REFUSALS, registry)
        self._refusals = {
            (door, problem): refusals.labels(door.name.lower(), problem)
            for door in self._in_flight
            for problem in calls.PROBLEMS
        }
        began = counter_of(calls.TLS_HANDSHAKES, registry)
        self._handshakes = {d: began.labels(d.name.lower()) for d in self._in_flight}
        failed = counter_of(calls.TLS_FAILURES, registry)
        self._tls_failures = {r: failed.labels(r) for r in calls.TLS_REASONS}
        self._begin_rpcs(registry)
        self._begin_requests(registry)

    def _begin_rpcs(self, registry: CollectorRegistry) -> None:
        seconds = histogram_of(calls.RPC_SECONDS, registry)
        ended = counter_of(calls.RPC_CALLS, registry)
        arrived = counter_of(calls.RPC_ARRIVED, registry)
        names = {**_RPC, calls.OTHER: calls.OTHER}
        self._rpc_s = {n: seconds.labels(_SYSTEM, shown) for n, shown in names.items()}
        self._arrived = {
            n: arrived.labels(_SYSTEM, shown) for n, shown in names.items()
        }
        self._rpcs = {
            (n, status): ended.labels(_SYSTEM, shown, status)
            for n, shown in names.items()
            for status in calls.STATUSES
        }

    def _begin_requests(self, registry: CollectorRegistry) -> None:
        seconds = histogram_of(calls.HTTP_SECONDS, registry)
        ended = counter_of(calls.HTTP_REQUESTS, registry)
        routes = (*calls.HTTP_ROUTES, calls.OTHER)
        self._http_s = {route: seconds.labels(route) for route in routes}
        self._requests = {
            (route, status): ended.labels(route, str(status))
            for route in routes
            for status in calls.HTTP_STATUSES
        }

    def arrived(self, method: str) -> None:
        """See `CallTelemetry`."""
        self._arrived[method].inc()

    def began(self, door: Door) -> None:
        """See `CallTelemetry`."""
        self._in_flight[door] += 1

    def ended_rpc(
        self, method: str, status: str, seconds: float, trace: str = ""
    ) -> None:
        """See `CallTelemetry`."""
        self._in_flight[Door.GRPC] -= 1
        self._rpc_s[method].observe(seconds, _exemplar(trace))
        self._rpcs[method, status].inc()

    def ended_request(
        self, route: str, status: int, seconds: float, trace: str = ""
    ) -> None:
        """See `CallTelemetry`."""
        self._in_flight[Door.HTTP] -= 1
        self._http_s[route].observe(seconds, _exemplar(trace))
        self._requests[route, status].inc()

    def unheard(self, status: int) -> None:
        """See `CallTelemetry`."""
        self._requests[calls.OTHER, status].inc()

    def refused(self, door: Door, problem: str) -> None:
        """See `CallTelemetry`."""
        self._refusals[door, problem].inc()

    def handshake(self, door: Door) -> None:
        """See `CallTelemetry`."""
        self._handshakes[door].inc()

    def tls_failed(self, reason: str) -> None:
        """See `CallTelemetry`."""
        self._tls_failures[reason].inc()


def _exemplar(trace: str) -> dict[str, str] | None:
    """By which a bucket names a trace; shown in the OpenMetrics form alone."""
    return {"trace_id": trace} if trace else None


class SilentCalls:
    """Counts nothing: for tests that look elsewhere."""

    def arrived(self, method: str) -> None:
        """Count nothing."""

    def began(self, door: Door) -> None:
        """Count nothing."""

    def ended_rpc(
        self, method: str, status: str, seconds: float, trace: str = ""
    ) -> None:
        """Count nothing."""

    def ended_request(
        self, route: str, status: int, seconds: float, trace: str = ""
    ) -> None:
        """Count nothing."""

    def unheard(self, status: int) -> None:
        """Count nothing."""

    def refused(self, door: Door, problem: str) -> None:
        """Count nothing."""

    def handshake(self, door: Door) -> None:
        """Count nothing."""

    def tls_failed(self, reason: str) -> None:
        """Count nothing."""
