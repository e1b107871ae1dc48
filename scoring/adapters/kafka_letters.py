"""Reads dead letters back, and turns one into the record it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from scoring import wire
from scoring.adapters.kafka_contact import first_contact, started
from scoring.adapters.kafka_intake import header_of
from scoring.ports import LogRecord
from scoring.v1 import transaction_pb2

_EMPTY_READS = 3
_PATIENCE_MS = 300


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter as it lies in its topic; `position` is its own, "3@17"."""

    position: str
    message: transaction_pb2.DeadLetter

    @property
    def reason(self) -> str:
        """Its reason without the prefix: CONFLICT."""
        name = transaction_pb2.DeadLetterReason.Name(self.message.reason)
        return name.removeprefix("DEAD_LETTER_REASON_")

    @property
    def whole(self) -> bool:
        """Whether the original can be restored: nothing overwritten, nothing cut."""
        cut = len(self.message.value) < self.message.value_size_bytes
        return not (self.message.masked or cut)

    def record(self) -> LogRecord:
        """The original record, for the topic it came from.

        The partition is left to the key: the topic may have grown since.
        """
        return LogRecord(
            topic=self.message.topic,
            key=self.message.key or None,
            value=self.message.value,
            headers=tuple((h.key, h.value) for h in self.message.headers),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """One dead-letter topic."""

    bootstrap: str
    options: Mapping[str, Any]
    topic: str

    async def read(self) -> list[Letter]:
        """All letters, oldest first; raises `LogUnavailable`.

        Reads on until nothing more comes: the embedded broker reports ends too low.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **self.options,
        )
        with first_contact(self.bootstrap):
            await started(consumer, self.bootstrap)
            try:
                records = await self._records(consumer)
            finally:
                await consumer.stop()
        records.sort(key=lambda record: record.timestamp)
        return [letter for record in records for letter in letters_in(record)]

    async def _records(self, consumer: AIOKafkaConsumer) -> list[Any]:
        # Asking for the partitions of a topic brings its metadata.
        await consumer.topics()
        partitions = consumer.partitions_for_topic(self.topic) or ()
        places = [TopicPartition(self.topic, p) for p in sorted(partitions)]
        records: list[Any] = []
        if not places:
            return records
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        empty = 0
        while empty < _EMPTY_READS:
            polled = await consumer.getmany(timeout_ms=_PATIENCE_MS)
            empty = 0 if polled else empty + 1
            records += [record for batch in polled.values() for record in batch]
        return records


def letters_in(record: Any) -> list[Letter]:
    """The letter of one record; none where it is not one of ours."""
    value = wire.unframed(record.value or b"")
    try:
        if header_of(record, "content-type") == wire.JSON.encode():
            letter = json_format.Parse(value, transaction_pb2.DeadLetter())
        else:
            letter = transaction_pb2.DeadLetter.FromString(value)
    except (DecodeError, json_format.ParseError):
        return []
    return [Letter(f"{record.partition}@{record.offset}", letter)]
