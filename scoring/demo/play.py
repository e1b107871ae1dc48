"""The demo's run: send through both doors, watch the topics, count at the end."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scoring.core.transaction.transaction import Transaction
from scoring.demo.audit import DeliveryAudit, dead_letter_id
from scoring.demo.doors import DemoKafkaDoor, GrpcDoor
from scoring.demo.tally import Tally, percentile
from scoring.demo.world import LabelQueue, Payment
from scoring.kafka.topic_names import Topics

_TICK_S = 0.02
_GRPC_SHARE = 0.25
_REPEAT_SHARE = 0.01
_REMEMBERED_MAX = 200  # what a repeat is chosen from
_BEHIND_S_MAX = 0.5  # a sender that fell behind does not catch up in one burst
# A machine too slow for the rate is not buried: this many seconds of it may wait.
_IN_FLIGHT_S_MAX = 0.5
# After the last record: whatever a fault would still add has time to appear.
_SETTLE_S = 1.5
# A decision takes seconds on a machine with ten times the work that it can do.
_STALLED_S = 45.0
_DRAIN_S_MAX = 180.0
# A group's signal may come once more, passed on by whoever started us.
_ONE_SIGNAL_S = 1.0


@dataclass(slots=True)
class Play:
    """One run of the demo: its parts, its figures, and whether it continues."""

    kafka: DemoKafkaDoor
    grpc: GrpcDoor
    audit: DeliveryAudit
    tally: Tally
    payments: Iterator[Payment]
    rate: float
    chance: random.Random
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    started_at: float = field(default_factory=time.monotonic)
    decided_s: float = 0.0  # from the start to the last decision seen
    _told_at: float = field(default_factory=time.monotonic)
    _labels: LabelQueue = field(default_factory=LabelQueue)
    _recent: deque[Transaction] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED_MAX)
    )

    def told(self) -> None:
        """Stop sending; told again, do not wait for what is in flight either."""
        if self.stop.is_set() and time.monotonic() - self._told_at > _ONE_SIGNAL_S:
            self.hurry.set()
        elif not self.stop.is_set():
            self._told_at = time.monotonic()
        self.stop.set()

    @property
    def in_flight_max(self) -> int:
        """Transactions that may wait for their decision before sending pauses."""
        return max(20, int(self.rate * _IN_FLIGHT_S_MAX))

    @property
    def elapsed_s(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.started_at

    def on_record(self, topics: Topics) -> Callable[[str, bytes, int], None]:
        """What to do with each record that the independent consumer reads."""

        def seen(topic: str, value: bytes, at_ms: int) -> None:
            if topic != topics.decisions:
                self.audit.dead_letter(dead_letter_id(value))
                return
            decision = json.loads(value)
            new = decision["core"]["transactionId"] not in self.audit.cores
            self.audit.decision(decision["core"])
            if new:
                self.decided_s = self.elapsed_s
                self.tally.decided(decision, at_ms=at_ms, second=int(self.elapsed_s))

        return seen

    async def send(self) -> None:
        """Send at the rate until told to stop, then wait for what is in flight."""
        next_at = time.monotonic()
        while not self.stop.is_set():
            now = time.monotonic()
            next_at = max(next_at, now - _BEHIND_S_MAX)
            while next_at <= now and self.audit.in_flight < self.in_flight_max:
                await self._send_next()
                next_at += 1 / self.rate
            await asyncio.sleep(_TICK_S)
        loop = asyncio.get_running_loop()
        hurry = loop.create_task(self.hurry.wait())
        finish = loop.create_task(self._finish())
        await asyncio.wait([finish, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if finish.done():
            finish.result()
        finish.cancel()

    async def _finish(self) -> None:
        await self.grpc.finish()
        await self.kafka.producer.flush()

    async def _send_next(self) -> None:
        payment = next(self.payments)
        transaction = payment.transaction
        self.audit.sent(transaction.id)
        if payment.fraud:
            self.tally.truth.add(transaction.id)
        labels = self._labels.due(transaction.occurred_at_ms)
        if labels:
            await self.kafka.learn(labels)
            self.tally.labels_sent += len(labels)
        self._labels.add(payment)
        await self._check(transaction)
        self._recent.append(transaction)
        if self.chance.random() < _REPEAT_SHARE:
            self.tally.repeats_sent += 1
            await self._check(self.chance.choice(self._recent))

    async def _check(self, transaction: Transaction) -> None:
        if self.chance.random() < _GRPC_SHARE:
            self.grpc.check(transaction)
        else:
            await self.kafka.check(transaction)

    async def drain(self) -> None:
        """Wait until everything sent is accounted for, as long as it progresses."""
        ends_at = time.monotonic() + _DRAIN_S_MAX
        progressed_at, before = time.monotonic(), -1
        while self.audit.lost and time.monotonic() < ends_at:
            if self.hurry.is_set():
                return
            if self.audit.lost != before:
                progressed_at, before = time.monotonic(), self.audit.lost
            if time.monotonic() - progressed_at > _STALLED_S:
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(_SETTLE_S)

    @property
    def unfinished(self) -> int:
        """Transactions of which nobody waited to hear: not known to be lost."""
        return self.audit.lost if self.hurry.is_set() else 0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, duplicated or contradicted, as far as is known."""
        audit = self.audit
        lost = audit.lost - self.unfinished
        return not (lost or audit.duplicated or audit.conflicting)

    def figures(self) -> dict[str, float | int]:
        """The last line of the demo."""
        audit, tally = self.audit, self.tally
        rate = audit.decided / self.decided_s if self.decided_s else 0.0
        return {
            "sent": len(audit.sent_ids),
            "decided": audit.decided,
            "lost": audit.lost - self.unfinished,
            "duplicated": audit.duplicated,
            "conflicting": audit.conflicting,
            "degraded": audit.degraded_count,
            "superseded": audit.superseded,
            "refused": audit.refused_count,
            "unfinished": self.unfinished,
            "grpc_p50_ms": round(percentile(tally.grpc_ms, 0.50), 2),
            "grpc_p99_ms": round(percentile(tally.grpc_ms, 0.99), 2),
            "stream_p50_ms": round(percentile(tally.stream_ms, 0.50), 2),
            "stream_p99_ms": round(percentile(tally.stream_ms, 0.99), 2),
            "tx_per_s": round(rate, 1),
        }
