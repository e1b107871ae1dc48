"""What the pipeline and the doors have counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from scoring.core.decision.decision import DecisionCore, Door
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.model import Matrix, Scores


class Telemetry(Protocol):
    """What is counted. Never raises, never blocks."""

    def answered(
        self,
        checks: Sequence[Check],
        answers: Sequence[object],
        durations_us: Mapping[str, int],
    ) -> None:
        """Count one batch: `answers` are decisions or errors, one a check."""
        ...

    def decided(
        self,
        checks: Sequence[Check],
        cores: Sequence[DecisionCore],
        answers: Sequence[object],
    ) -> None:
        """Count the decisions of one batch, by what made them; one core a check."""
        ...

    def dead_letter(self, source: str, problem: str) -> None:
        """Count a dead letter by the topic of its input and the code of its error."""
        ...

    def count(self, event: Event, n: int = 1) -> None:
        """Count something that has a name and nothing else."""
        ...

    def scored(self, model: str, matrix: Matrix, scores: Scores) -> None:
        """Take note of one batch of vectors and of what a model version made of it."""
        ...

    def judged(self, model: str, score: float, *, fraud: bool) -> None:
        """Count a transaction scored by a model version whose truth is known now."""
        ...


class CallTelemetry(Protocol):
    """What is counted of calls. Never raises, never blocks.

    `method` is the name of an RPC, `route` a path with its braces, `_OTHER` for none of
    ours; `problem` is what the caller reads of a refusal.
    """

    def arrived(self, method: str) -> None:
        """A gRPC call is here; nothing of its message was read yet."""
        ...

    def began(self, door: Door) -> None:
        """A call is in flight."""
        ...

    def ended_rpc(
        self, method: str, status: str, seconds: float, trace: str = ""
    ) -> None:
        """A gRPC call that began is over, by the status that its caller got.

        `trace` is one in which it can be found, in hexadecimal, or empty.
        """
        ...

    def ended_request(
        self, route: str, status: int, seconds: float, trace: str = ""
    ) -> None:
        """An HTTP request that began is over; `trace` as for `ended_rpc`."""
        ...

    def unheard(self, status: int) -> None:
        """A connection was refused before there was a request."""
        ...

    def refused(self, door: Door, problem: str) -> None:
        """A call, or an item of one, got no answer but this."""
        ...

    def handshake(self, door: Door) -> None:
        """A TLS handshake begins."""
        ...

    def tls_failed(self, reason: str) -> None:
        """One over HTTP failed."""
        ...
