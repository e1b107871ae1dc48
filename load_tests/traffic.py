"""Payments for load: seeded, skewed like real ones, never one constant request."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from uuid import uuid4

from scoring.v1.transaction_pb2 import Transaction

_CARDS = 20_000
_HOT_SHARE = 0.05  # one merchant where everybody seems to pay
_COLD_SHARE = 0.20  # cards never seen before
# A load test sends in a minute what a day brings. Sent as of now, every card would
# be under attack and the limits of the policy would be all that is measured.
_STEP_MS = 1_000
_HISTORY_MS = 20 * 3_600_000  # within the lateness allowed
# Some pay more often than others, none so often that it is an attack: the busiest
# card comes up twice an hour of event time.
_SKEW = 1.3
_CATEGORIES = ("5411", "5812", "5541", "4111", "5732", "5999")


def _letters() -> str:
    """What no other run has: a long run of digits may pass for a card number."""
    return uuid4().hex.translate(str.maketrans("0123456789", "ghijklmnop"))[:12]


@dataclass(slots=True)
class Traffic:
    """An endless supply of transactions with ids of their own."""

    seed: int
    prefix: str = field(default_factory=lambda: f"load-{_letters()}")
    _chance: random.Random = field(init=False)
    _count: int = 0
    _started_ms: int = field(
        default_factory=lambda: time.time_ns() // 1_000_000 - _HISTORY_MS
    )

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def next(self) -> Transaction:
        """The next payment."""
        self._count += 1
        chance = self._chance
        card = self._card()
        transaction = Transaction(
            id=f"{self.prefix}-{self._count}",
            amount_minor=int(chance.lognormvariate(8.0, 1.1)) + 1,
            currency="EUR",
            card=card,
            customer=f"customer-{card}",
            merchant=self._merchant(),
            terminal=f"terminal-{int(5_000 * chance.random() ** _SKEW)}",
            device=f"device-{card}",
            channel=1 + int(chance.random() * 2),
            entry_mode=1 + int(chance.random() * 4),
            merchant_category=chance.choice(_CATEGORIES),
            card_country="DE",
            merchant_country="DE" if chance.random() < 0.9 else "FR",
        )
        transaction.occurred_at.FromMilliseconds(self._attempted_at_ms())
        return transaction

    def _attempted_at_ms(self) -> int:
        """One payment a second until now is reached: cards are not all hammered."""
        now_ms = time.time_ns() // 1_000_000
        return min(now_ms, self._started_ms + self._count * _STEP_MS)

    def _merchant(self) -> str:
        if self._chance.random() < _HOT_SHARE:
            return "merchant-hot"
        return f"merchant-{int(2_000 * self._chance.random() ** _SKEW)}"

    def _card(self) -> str:
        if self._chance.random() < _COLD_SHARE:
            return f"card-{self.prefix}-{self._count}"
        return f"card-{int(_CARDS * self._chance.random() ** _SKEW)}"
