"""Load shedding: what cannot be decided in time is refused or shortened early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil, inf

from scoring.core.transaction.transaction import Transaction
from scoring.errors import Overloaded
from scoring.pipeline.stage_timer import Idle
from scoring.ports.check import Check
from scoring.ports.events import Event

# Long enough for a burst to pass, short against a person waiting at a till.
_RETRY_AFTER_MS = 200
# What is ahead of a check, and it, may take this share of its time: the rest is for
# what a mean does not know.
_WAIT_SHARE_MAX = 0.7
# Kept back for the reply's way to the caller, seconds.
_REPLY_S = 0.003
# What the short path costs of a check: it is decided and encoded all the same.
_SHORT_SHARE = 0.3
# What one more micro-batch weighs in the running mean of the time per check.
_NEWEST_WEIGHT = 0.5


@dataclass(slots=True)
class LoadShedding:
    """Knows what a check costs, and sheds what there is no time for.

    At most `checks_max` are in flight. `amount` is a transaction's in one currency,
    None where its rate is not known. `monotonic` is the clock that deadlines are
    instants of, seconds; `count` hears of what is shed.
    """

    monotonic: Callable[[], float]
    amount: Callable[[Transaction], int | None]
    checks_max: int = 4_096
    count: Callable[[Event, int], None] = lambda _event, _n: None
    # Running mean of what one check costs, without the waiting for the store: that
    # ends at each check's own deadline, with an answer, and is no more for many.
    check_s: float = 0.0002
    _seen_s: float = 0.0
    _measured_count: int = 0

    def refuse_beyond(self, count: int) -> None:
        """Raise `Overloaded` where so many checks in flight are too many."""
        if count > self.checks_max:
            self.count(Event.SHED_FULL, 1)
            raise Overloaded(retry_after_ms=_RETRY_AFTER_MS)

    def refuse_late(self, check: Check, *, ahead: int) -> None:
        """Raise `Overloaded` where so many ahead leave the check no time.

        Its caller can still do something else, and is told where even with nobody
        ahead there is too little.
        """
        if check.deadline is None:
            return
        left_s = check.deadline - self.monotonic() - _REPLY_S
        if (ahead + 1) * self.check_s > _WAIT_SHARE_MAX * left_s:
            alone = self.check_s > _WAIT_SHARE_MAX * left_s
            told = self._too_short() if alone else ""
            self.count(Event.SHED_LATE, 1)
            raise Overloaded(told, retry_after_ms=_RETRY_AFTER_MS)

    def _too_short(self) -> str:
        needed_ms = ceil((self.check_s / _WAIT_SHARE_MAX + _REPLY_S) * 1_000)
        return (
            f"the time left is less than the {needed_ms} ms that one check takes now; "
            "allow more, or retry after the pushback"
        )

    def shortened(self, checks: Sequence[Check]) -> Sequence[Check]:
        """The same checks; where time is short, small amounts take the short path.

        Their deadline becomes now: they are answered without history, flagged, so
        that large amounts keep the full path. The order stays: it is the order of
        the features. Amounts are compared in one currency; one that the rate table
        lacks may be the largest, and keeps the full path.
        """
        now = self.monotonic()
        left_s = max((c.deadline or now + 1.0) for c in checks) - now
        short_s = _SHORT_SHARE * self.check_s
        left_s -= len(checks) * short_s
        fits = int(left_s / (self.check_s - short_s))
        if fits >= len(checks):
            return checks
        values = [self.amount(check.transaction) for check in checks]
        by_amount = sorted(
            range(len(checks)), key=lambda i: -inf if (v := values[i]) is None else -v
        )
        short = frozenset(by_amount[max(fits, 1) :])
        self.count(Event.SHED_SHORTENED, len(short))
        return [
            replace(check, deadline=now) if i in short else check
            for i, check in enumerate(checks)
        ]

    @contextmanager
    def measured(self, count: int) -> Iterator[Idle]:
        """Learn what a check costs from deciding so many in this `with`.

        What is put into the idle time is not their cost; what the loop did meanwhile
        for micro-batches beside this one is.
        """
        started, idle, before = self.monotonic(), Idle(), self._measured_count
        try:
            yield idle
        finally:
            took_s = self.monotonic() - started - idle.seconds
            self._measured_count += count
            self._learn(took_s / (self._measured_count - before))

    def _learn(self, seen_s: float) -> None:
        # Two in a row must say so: one may just have been held up.
        believed_s, self._seen_s = min(seen_s, self._seen_s), seen_s
        self.check_s += _NEWEST_WEIGHT * (believed_s - self.check_s)
