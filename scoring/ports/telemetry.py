"""What the pipeline and the doors have counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

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

    def count(self, event: Event, n: int = 1) -> None:
        """Count something that has a name and nothing else."""
        ...

    def scored(self, model: str, matrix: Matrix, scores: Scores) -> None:
        """Take note of one batch of vectors and of what a model version made of it."""
        ...

    def judged(self, model: str, score: float, *, fraud: bool) -> None:
        """Count a transaction scored by a model version whose truth is known now."""
        ...
