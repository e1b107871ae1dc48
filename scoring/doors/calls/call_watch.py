"""Counts the calls of all doors, and says why they are refused."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from scoring.core.decision.decision import Door
from scoring.core.repetition import EVERY_S, Repetition
from scoring.core.transaction.trace_context import accepted_traceparent
from scoring.doors.calls.refusals import Code, Refusal, refusal_of
from scoring.errors import ScoringError
from scoring.ports.metrics.calls import CANCELLED, OTHER
from scoring.ports.spans import CallSpan, Traces
from scoring.ports.telemetry import CallTelemetry

log = logging.getLogger(__name__)
Cause = tuple[Door, str, str]  # door, method, problem
# Faults of ours, or of a system of ours: the others are the callers'.
_OURS = frozenset({Code.INTERNAL, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED})
LEFT = "the caller left before its answer"
# Of the call that this task answers; None without traces.
current_span: ContextVar[CallSpan | None] = ContextVar("current_span", default=None)


@dataclass(slots=True)
class CallWatch:
    """What becomes of calls: in the metrics each, in the log each cause once a minute.

    A cause is a problem of a method; its line names one caller, and the next says how
    many more there were.
    """

    telemetry: CallTelemetry
    monotonic: Callable[[], float] = time.monotonic
    traces: Traces | None = None
    _repetition: Repetition = field(default_factory=Repetition)
    _summing_up: dict[Cause, asyncio.TimerHandle] = field(default_factory=dict)

    def began(self, door: Door) -> float:
        """A call is here; the instant from which `ended_…` counts."""
        self.telemetry.began(door)
        return self.monotonic()

    def span(self, door: Door, name: str, traceparent: str) -> CallSpan | None:
        """Where its trace is written from now on, by this task; None without traces."""
        if self.traces is None:
            return None
        span = self.traces.began(door, name, accepted_traceparent(traceparent))
        current_span.set(span)
        return span

    def ended_rpc(
        self, method: str, status: str, began_at: float, span: CallSpan | None = None
    ) -> None:
        """A gRPC call is over."""
        trace = _ended(span, status)
        self.telemetry.ended_rpc(method, status, self.monotonic() - began_at, trace)

    def ended_request(
        self, route: str, status: int, began_at: float, span: CallSpan | None = None
    ) -> None:
        """An HTTP request is over."""
        trace = _ended(span, str(status))
        took_s = self.monotonic() - began_at
        self.telemetry.ended_request(route, status, took_s, trace)

    def refused(
        self, door: Door, method: str, error: Exception, peer: Callable[[], str]
    ) -> Refusal:
        """What the caller of a call, or of an item of one, learns of an error.

        `peer` says who called.
        """
        refusal = refusal_of(error)
        level = logging.ERROR if refusal.code in _OURS else logging.WARNING
        # Only our own errors are known to quote nothing that was sent.
        text = str(error) if isinstance(error, ScoringError) else refusal.message
        self.told(door, method, refusal.kind.slug, (level, text, peer))
        return refusal

    def left(self, door: Door, method: str, peer: Callable[[], str]) -> None:
        """A caller did not wait for its answer."""
        self.told(door, method, CANCELLED, (logging.WARNING, LEFT, peer))

    def told(
        self,
        door: Door,
        method: str,
        problem: str,
        why: tuple[int, str, Callable[[], str]],
    ) -> None:
        """The same with the level, text and peer of a line that may be due."""
        self.telemetry.refused(door, problem)
        cause = (door, method, problem)
        if self._repetition.due(cause, self.monotonic()) is None:
            if cause not in self._summing_up:
                loop = asyncio.get_running_loop()
                timer = loop.call_later(EVERY_S, self._sum_up, cause)
                self._summing_up[cause] = timer
            return
        level, text, peer = why
        called, name = door.name.lower(), "a call" if method == OTHER else method
        log.log(
            level,
            "%s over %s refused: %s: %s",
            *(name, called, problem, text),
            extra={"cause": problem, "peer": peer(), "method": method, "door": called},
        )

    def tls_failed(self, reason: str) -> None:
        """A caller's TLS handshake over HTTP failed; who it was is not known."""
        self.telemetry.tls_failed(reason)
        log.warning(
            "a TLS handshake over http failed: %s",
            reason,
            extra={"cause": reason, "door": "http", "repeats": reason},
        )

    def sum_up(self) -> None:
        """Say how many more there were of each cause, as of now."""
        for cause in list(self._summing_up):
            self._summing_up[cause].cancel()
            self._sum_up(cause)

    def _sum_up(self, cause: Cause) -> None:
        del self._summing_up[cause]
        count = self._repetition.ended(cause)
        door, method, problem = cause
        called = door.name.lower()
        log.warning(
            "%s over %s refused %d more times: %s",
            *(method, called, count, problem),
            extra={"cause": problem, "method": method, "door": called, "count": count},
        )


def _ended(span: CallSpan | None, status: str) -> str:
    """The trace that keeps it, or none."""
    if span is None:
        return ""
    span.ended(status)
    return span.kept_trace
