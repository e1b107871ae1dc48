"""The lease of the relay: of two copies one has it, and a killed one loses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from scoring.control.database.relaying import LeaseRow
from scoring.errors import DatabaseUnavailable


class LeaseRows(Protocol):
    """Where the lease is kept; each call blocks, and raises `DatabaseUnavailable`."""

    def read(self) -> LeaseRow | None:
        """The lease; None where nobody ever had it."""
        ...

    def replace(
        self, seen: LeaseRow | None, new: LeaseRow, clock: Callable[[], float]
    ) -> float | None:
        """Put a lease in place of the one that was seen; None where it is another.

        Returns the clock's time once nobody else could write any more and before
        anybody could read it: however long it waited, nobody counts from earlier.
        """
        ...


TTL_S = 5.0
TTL_MS = 5_000


@dataclass(slots=True)
class Lease:
    """One copy's hold on the lease; `ttl_s` after its last renewal another has it.

    No clock is compared with another machine's: whoever waits takes the lease when its
    epoch did not rise for `ttl_s` of the waiting copy's own monotonic clock, and
    whoever has it lets go a third earlier by its own. While a copy cannot read the
    lease it does not wait either: the holder could not renew it.
    """

    rows: LeaseRows
    holder: str
    monotonic: Callable[[], float]
    ttl_s: float = TTL_S
    _seen: LeaseRow | None = field(default=None, init=False)
    _seen_at: float = field(default=float("-inf"), init=False)
    _mine_at: float = field(default=float("-inf"), init=False)

    @property
    def held(self) -> bool:
        """Whether this copy may act now; asks nobody."""
        return self.monotonic() < self._mine_at + self.ttl_s * 2 / 3

    def hold(self) -> bool:
        """Take the lease, or renew it once a third of its time is over; blocks.

        Returns whether this copy has it. Raises `DatabaseUnavailable`.
        """
        at = self.monotonic()
        if at < self._mine_at + self.ttl_s / 3:
            return True
        try:
            row = self.rows.read()
        except DatabaseUnavailable:
            self._seen = None
            raise
        if row is not None and row.holder != self.holder and not self._is_over(row, at):
            self._mine_at = float("-inf")
            return False
        new = LeaseRow(self.holder, 1 if row is None else row.epoch + 1)
        mine_at = self.rows.replace(row, new, self.monotonic)
        self._mine_at = float("-inf") if mine_at is None else mine_at
        return self.held

    def let_go(self) -> None:
        """Give it up, so that another copy has it at once; blocks."""
        self._mine_at = float("-inf")
        row = self.rows.read()
        if row is not None and row.holder == self.holder:
            self.rows.replace(row, LeaseRow("", row.epoch + 1), self.monotonic)

    def _is_over(self, row: LeaseRow, at: float) -> bool:
        if not row.holder:
            return True
        if row != self._seen:
            self._seen, self._seen_at = row, at
        return at >= self._seen_at + self.ttl_s
