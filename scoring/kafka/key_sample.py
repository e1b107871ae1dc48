"""Samples the newest transactions, to see whether their keys keep their promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from scoring import wire
from scoring.errors import ScoringError
from scoring.kafka.record_values import opened
from scoring.kafka.startup_errors import reader
from scoring.kafka.topic_names import key_of

_RECORDS_PER_PARTITION = 250
_PATIENCE_MS = 500


@dataclass(slots=True)
class Keys:
    """How the sampled records are keyed."""

    sampled: int = 0
    keyless: int = 0
    miskeyed: int = 0
    unreadable: int = 0

    def add(self, record: Any) -> None:
        """Count one record."""
        self.sampled += 1
        try:
            value, content_type = opened(record)
            transaction = wire.transaction_from_bytes(value, content_type=content_type)
        except ScoringError:
            self.unreadable += 1
            return
        if not record.key:
            self.keyless += 1
        elif record.key != key_of(transaction):
            self.miskeyed += 1

    def __str__(self) -> str:
        """One line for the operator.

        >>> print(Keys(sampled=1000, miskeyed=2))
        of the newest 1,000 transactions 0 have no key, 2 another key, 0 are unreadable
        """
        return (
            f"of the newest {self.sampled:,} transactions {self.keyless:,} have no "
            f"key, {self.miskeyed:,} another key, {self.unreadable:,} are unreadable"
        )


async def sampled_keys(
    bootstrap: str, topic: str, partitions: int, *, options: Mapping[str, Any]
) -> Keys:
    """Read the newest records of every partition and look at their keys."""
    places = [TopicPartition(topic, p) for p in range(partitions)]
    async with reader(bootstrap, options, auto_offset_reset="earliest") as consumer:
        consumer.assign(places)
        beginnings = await consumer.beginning_offsets(places)
        for place, end in (await consumer.end_offsets(places)).items():
            consumer.seek(place, max(beginnings[place], end - _RECORDS_PER_PARTITION))
        keys = Keys()
        while polled := await consumer.getmany(timeout_ms=_PATIENCE_MS):
            for record in (record for batch in polled.values() for record in batch):
                keys.add(record)
            if keys.sampled >= _RECORDS_PER_PARTITION * partitions:
                break
        return keys
