"""How much time an exchange with the store may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

# How early a timer of the loop may fire, seconds.
_EARLY_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Time the stages may take, seconds.

    `store_s` bounds one exchange. `reserve_s` is kept back from a deadline for
    what follows the exchange: predict, decide, encode and the reply.
    `look_reserve_s` is what a second look must leave: the exchange to record, too; and
    `look_reserve_check_s` for each check of the batch, still to be decided and encoded.
    """

    store_s: float = 0.02
    reserve_s: float = 0.003
    look_reserve_s: float = 0.005
    look_reserve_check_s: float = 0.0001

    def exchange_s(self, deadline: float | None, now: float) -> float:
        """What an exchange may take; negative where there is no time left.

        >>> Budget(store_s=0.02, reserve_s=0.003).exchange_s(None, 5.0)
        0.02
        >>> Budget(store_s=0.02, reserve_s=0.5).exchange_s(6.0, 5.75)
        -0.25
        """
        if deadline is None:
            return self.store_s
        return min(self.store_s, deadline - now - self.reserve_s)

    def looks_until(self, deadlines: Sequence[float | None], now: float) -> float:
        """When second looks among checks with these deadlines must end.

        The earliest counts: an answer in time goes before another's second look.
        Whoever is late already can lose nothing. Infinite where nobody waits.

        >>> budget = Budget(look_reserve_s=0.5, look_reserve_check_s=0.125)
        >>> budget.looks_until([None, 9.0, 7.0, 4.75], now=5.0)
        6.0
        """
        waiting = [d for d in deadlines if d is not None and d > now]
        reserve_s = self.look_reserve_s + len(deadlines) * self.look_reserve_check_s
        return min(waiting, default=inf) - reserve_s

    def hurried(self, waited_s: float, timeout_s: float) -> bool:
        """Whether an exchange failed for a deadline's sake, not for the store's.

        A loop's timers may fire early: its clock stands still while it works.

        >>> Budget(store_s=0.02).hurried(waited_s=0.004, timeout_s=0.004)
        True
        >>> Budget(store_s=0.02).hurried(waited_s=0.001, timeout_s=0.004)
        False
        """
        return waited_s + _EARLY_S >= timeout_s and timeout_s < self.store_s
