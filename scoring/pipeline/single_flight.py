"""Single flight: concurrent duplicates of a check share one computation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from scoring.pipeline.answer import Answer, Decided
from scoring.ports.check import Check

Key = tuple[str, str, bytes, bool]
Flight = asyncio.Future[Answer | None]

# Kept back by a duplicate for an answer of its own, seconds.
_RESERVE_S = 0.003


@dataclass(slots=True)
class SingleFlight:
    """The checks in flight; a duplicate waits for the first and shares its bytes.

    `monotonic` is the clock that deadlines are instants of, seconds.
    """

    monotonic: Callable[[], float]
    _flights: dict[Key, Flight | None] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many checks are in flight, duplicates not counted."""
        return len(self._flights)

    def join(self, check: Check) -> Flight | None:
        """What `answer_of` takes; None for the first, which must be landed."""
        key = _key(check)
        if key not in self._flights:
            self._flights[key] = None
            return None
        flight = self._flights[key]
        if flight is None:
            flight = asyncio.get_running_loop().create_future()
            self._flights[key] = flight
        return flight

    def land(self, check: Check, answer: Answer | None) -> None:
        """Give duplicates the answer of the first; None where it has none."""
        flight = self._flights.pop(_key(check), None)
        if flight is not None and not flight.done():
            flight.set_result(answer)

    async def answer_of(self, check: Check, flight: Flight) -> Answer | None:
        """The first one's answer; None where it has none, or not in time."""
        patience_s = None
        if check.deadline is not None:
            patience_s = max(check.deadline - self.monotonic() - _RESERVE_S, 0.0)
        await asyncio.wait((flight,), timeout=patience_s)
        answer = flight.result() if flight.done() else None
        if isinstance(answer, Decided):
            return replace(answer, first=False, logged=None)
        return answer


def _key(check: Check) -> Key:
    t = check.transaction
    return (t.tenant, t.id, check.payload_hash, check.dry_run)
