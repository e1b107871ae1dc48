"""Finds a transaction by its id: the decision record says where it lies in the log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from scoring import wire
from scoring.adapters.kafka_contact import reader
from scoring.adapters.kafka_intake import opened
from scoring.adapters.kafka_progress import Progress
from scoring.core.label import Label
from scoring.core.transaction import Transaction
from scoring.errors import ScoringError
from scoring.ports import Store

_POSITION = re.compile(r"(.+)/(\d+)@(\d+)")
_READ_MS = 2_000


@dataclass(slots=True, kw_only=True)
class LogLookup:
    """Looks labels' transactions up in the input topic, by their recorded position.

    A decision made through gRPC has no position: its labels bring their
    transaction. So do labels later than the input topic's retention.
    """

    store: Store
    bootstrap: str
    options: dict[str, Any]
    fetch_wait_ms: int
    progress: Progress

    async def transactions(self, labels: Sequence[Label]) -> list[Transaction | None]:
        """One transaction a label; raises `StoreUnavailable`."""
        keys = [(label.tenant, label.transaction_id) for label in labels]
        decisions = await self.store.decisions(keys)
        places = [place_of(decision) for decision in decisions]
        if not any(places):
            return [None] * len(labels)
        async with reader(
            self.bootstrap,
            self.options,
            fetch_max_wait_ms=self.fetch_wait_ms,
            max_poll_records=1,
            # What is kept no longer is told at once, never waited for: labels come
            # weeks after their transactions, and many at a time.
            auto_offset_reset="none",
        ) as consumer:
            found = [await self._read(consumer, place) for place in places]
        return [
            transaction
            if transaction and transaction.id == label.transaction_id
            else None
            for label, transaction in zip(labels, found, strict=True)
        ]

    async def _read(
        self, consumer: AIOKafkaConsumer, place: tuple[TopicPartition, int] | None
    ) -> Transaction | None:
        if place is None:
            return None
        self.progress.forward()  # one read is bounded; hundreds may take a while
        tp, offset = place
        consumer.assign([tp])
        consumer.seek(tp, offset)
        try:
            async with asyncio.timeout(_READ_MS / 1_000):
                record = await consumer.getone(tp)
            if record.offset != offset:
                return None
            value, content_type = opened(record)
            return wire.transaction_from_bytes(value, content_type=content_type)
        except (TimeoutError, OffsetOutOfRangeError, ScoringError):
            return None


def place_of(decision: bytes | None) -> tuple[TopicPartition, int] | None:
    """Where the transaction of a recorded decision lies; None for gRPC or nothing."""
    if decision is None:
        return None
    found = _POSITION.fullmatch(wire.position_of(decision))
    if found is None:
        return None
    topic, partition, offset = found.groups()
    return TopicPartition(topic, int(partition)), int(offset)
