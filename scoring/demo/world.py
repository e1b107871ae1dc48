"""The payments that the demo plays, and what turns out to be true of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from scoring.core.transaction.label import Label, LabelSource, Verdict
from scoring.core.transaction.transaction import DEFAULT_TENANT, Transaction
from scoring.training.simulation.simulate import TRUTH_COLUMNS, World, simulate

DAY_MS = 86_400_000
# A small town: a day of it passes every few seconds, so that history builds up and
# labels (cardholders who report within three days) come back while somebody watches.
LABEL_DELAY_MS = 3 * DAY_MS
DAYS = 45
CUSTOMERS = 700
TERMINALS = 1_400
RADIUS = 12.0  # about 60 terminals in reach, near the Handbook's larger world


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of the simulated world, and whether it is a fraud."""

    transaction: Transaction
    fraud: bool


@dataclass(slots=True)
class LabelQueue:
    """Labels of what was sent, in the order in which they become known.

    >>> queue = LabelQueue()
    >>> queue.add(Payment(Transaction("default", "t1", occurred_at_ms=0), True))
    >>> queue.due(LABEL_DELAY_MS - 1), len(queue.due(LABEL_DELAY_MS))
    ([], 1)
    """

    _waiting: deque[Label] = field(default_factory=deque)

    def add(self, payment: Payment) -> None:
        """Take in a payment that was sent; event times must not decrease."""
        transaction = payment.transaction
        self._waiting.append(
            Label(
                transaction.tenant,
                transaction.id,
                version=1,
                verdict=Verdict.FRAUD if payment.fraud else Verdict.LEGITIMATE,
                known_at_ms=transaction.occurred_at_ms + LABEL_DELAY_MS,
                source=LabelSource.CUSTOMER,
                transaction=transaction,
            )
        )

    def due(self, now_ms: int) -> list[Label]:
        """Remove and return the labels known by an instant of event time."""
        due = []
        while self._waiting and self._waiting[0].known_at_ms <= now_ms:
            due.append(self._waiting.popleft())
        return due


def payments(*, seed: int, ends_before_ms: int) -> Iterator[Payment]:
    """Payments in event order, without end; world after world.

    `ends_before_ms` is the present: nothing occurs after it for the first 80
    worlds, ten years of simulated time.
    """
    chapter = 0
    start_ms = (ends_before_ms // DAY_MS - 81 * DAYS) * DAY_MS
    while True:
        world = World(
            seed=seed + chapter,
            days=DAYS,
            customers=CUSTOMERS,
            terminals=TERMINALS,
            radius=RADIUS,
            start_ms=start_ms + chapter * DAYS * DAY_MS,
            terminals_compromised_per_day=1,
            customers_compromised_per_day=1,
            card_testing_per_day=0.5,
            takeovers_per_day=0.5,
            id_prefix=f"demo{chapter}x",
        )
        yield from _payments_of(world)
        chapter += 1


def _payments_of(world: World) -> Iterator[Payment]:
    for batch in simulate(world).to_batches(max_chunksize=1_000):
        for row in batch.to_pylist():
            fraud = row["fraud"]
            for truth in TRUTH_COLUMNS:
                del row[truth]
            yield Payment(Transaction(DEFAULT_TENANT, **row), fraud)
