"""What repeats itself: each cause once in a while, the others counted."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

EVERY_S = 60.0
_CAUSES_MAX = 1_000


@dataclass(slots=True)
class _Said:
    at: float
    kept_back: int = 0


@dataclass(slots=True)
class Repetition:
    """Says of each cause whether it is due, and how many were kept back meanwhile.

    Instants are seconds of one monotonic clock. At most 1,000 causes are remembered.
    """

    every_s: float = EVERY_S
    _causes: dict[Hashable, _Said] = field(default_factory=dict)

    def due(self, cause: Hashable, now: float) -> int | None:
        """How many were kept back since the last; None where this one is, too.

        >>> lines = Repetition(every_s=60)
        >>> [lines.due("refused", now) for now in (0, 1, 2, 61)]
        [0, None, None, 2]
        """
        known = self._causes.get(cause)
        if known is not None and now - known.at < self.every_s:
            known.kept_back += 1
            return None
        if len(self._causes) >= _CAUSES_MAX:
            self._causes.clear()
        self._causes[cause] = _Said(now)
        return known.kept_back if known else 0

    def ended(self, cause: Hashable) -> int:
        """How many were kept back, and are told now: the cause may be over."""
        known = self._causes.pop(cause, None)
        return known.kept_back if known else 0
