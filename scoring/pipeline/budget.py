"""How much time an exchange with the store may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Time the stages may take, seconds.

    An exchange may take what its checks' deadlines leave; `store_s` where there is
    none. `reserve_s` is kept back from a deadline for what follows the exchange:
    predict, decide, encode and the reply; `reserve_check_s` for each check of it.
    `look_reserve_s` is what a second look must leave: the exchange to record, too; and
    `look_reserve_check_s` for each check of the batch, still to be decided and encoded.
    """

    store_s: float = 0.02
    reserve_s: float = 0.003
    reserve_check_s: float = 0.0001
    look_reserve_s: float = 0.005
    look_reserve_check_s: float = 0.0001

    def exchange_s(
        self, deadline: float | None, now: float, *, following: int = 0
    ) -> float:
        """What an exchange may take; negative where there is no time left.

        `following` checks are decided after it, within the same deadline.

        >>> Budget(store_s=0.02).exchange_s(None, 5.0)
        0.02
        >>> Budget(reserve_s=0.5).exchange_s(6.0, 5.75)
        -0.25
        >>> Budget(reserve_s=0.5, reserve_check_s=0.125).exchange_s(9, 6, following=4)
        2.0
        """
        if deadline is None:
            return self.store_s
        reserve_s = self.reserve_s + following * self.reserve_check_s
        return deadline - now - reserve_s

    def looks_until(
        self, deadlines: Sequence[float | None], now: float, *, behind: int = 0
    ) -> float:
        """When second looks among checks with these deadlines must end.

        The earliest counts: an answer in time goes before another's second look.
        Whoever is late already can lose nothing. Infinite where nobody waits. With
        `behind` further checks to decide, each has its share of the time.

        >>> budget = Budget(look_reserve_s=0.5, look_reserve_check_s=0.125)
        >>> budget.looks_until([None, 9.0, 7.0, 4.75], now=5.0)
        6.0
        >>> budget.looks_until([None, 9.0, 7.0, 4.75], now=5.0, behind=4)
        5.25
        """
        waiting = [d for d in deadlines if d is not None and d > now]
        count = len(deadlines) + behind
        reserve_s = self.look_reserve_s + count * self.look_reserve_check_s
        left_s = min(waiting, default=inf) - reserve_s - now
        return now + left_s * len(deadlines) / count
