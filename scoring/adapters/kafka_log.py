"""The log on Kafka: records appended with every in-sync replica's acknowledgement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownError

from scoring.adapters.kafka_contact import started
from scoring.adapters.kafka_options import client_options
from scoring.errors import LogUnavailable
from scoring.ports import LogRecord

log = logging.getLogger(__name__)
# A dead letter holds 64 kB and its headers; a decision some 2 kB.
_REQUEST_BYTES_MAX = 1_048_576
_BATCH_BYTES_MAX = 262_144
# Below the group's request timeout, so that a broker that is away is seen here first.
_REQUEST_TIMEOUT_MS = 20_000
# After an outage much is appended at once on a loop where callers wait for answers:
# so many are about half a millisecond, and the others have most of the loop.
_SENT_PER_TURN = 16
_REST_S = 0.003


@dataclass(slots=True)
class KafkaLog:
    """Appends through one producer; idempotent wherever the broker can.

    `frames` holds, by topic, what a schema registry's clients expect before a value.
    """

    producer: AIOKafkaProducer
    idempotent: bool
    frames: Mapping[str, bytes] = field(default_factory=dict)
    _closed: bool = False

    @classmethod
    async def connect(
        cls,
        bootstrap: str,
        *,
        options: Mapping[str, str] | None = None,
        frames: Mapping[str, bytes] | None = None,
    ) -> KafkaLog:
        """Connect; raises `LogUnavailable`.

        The producer is idempotent (a retry inside the client never appends twice)
        unless the broker lacks it, as the embedded one does.
        """
        chosen = client_options(options or {})
        try:
            producer = await _started(bootstrap, chosen, idempotent=True)
            return cls(producer, True, frames or {})
        except UnknownError:
            log.info("this broker has no idempotent producer: retries may repeat")
        producer = await _started(bootstrap, chosen, idempotent=False)
        return cls(producer, False, frames or {})

    async def append(self, records: Sequence[LogRecord]) -> None:
        """Return when all is acknowledged; raises `LogUnavailable`.

        Records of one partition keep their order.
        """
        if self._closed:
            raise LogUnavailable("the log is closed")
        try:
            sent = await self._send_gently([r for r in records if _free(r)])
            bound = [record for record in records if not _free(record)]
            for (topic, partition), group in groupby(
                sorted(bound, key=_place), key=_place
            ):
                sent += await self._send_batches(topic, partition, list(group))
            await asyncio.gather(*sent)
        except (KafkaError, OSError) as error:
            raise LogUnavailable(f"the log did not acknowledge: {error}") from error

    async def _send_gently(
        self, records: Sequence[LogRecord]
    ) -> list[asyncio.Future[Any]]:
        """Send to the partitions of the keys; others have their turns in between."""
        sent = []
        for i, record in enumerate(records, 1):
            sent.append(await self._send(record))
            if i % _SENT_PER_TURN == 0:
                await asyncio.sleep(_REST_S)
        return sent

    async def _send(self, record: LogRecord) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = await self.producer.send(
            record.topic,
            value=self._framed(record),
            key=record.key,
            headers=list(record.headers),
        )
        return sent

    def _framed(self, record: LogRecord) -> bytes:
        return self.frames.get(record.topic, b"") + record.value

    async def _send_batches(
        self, topic: str, partition: int, records: list[LogRecord]
    ) -> list[asyncio.Future[Any]]:
        """Send to one partition by whole batches: a future a batch, not a record."""
        sent = []
        batch = self.producer.create_batch()
        for record in records:
            value = self._framed(record)
            if not _added(batch, record, value):
                sent.append(
                    await self.producer.send_batch(batch, topic, partition=partition)
                )
                batch = self.producer.create_batch()
                _added(batch, record, value)
        sent.append(await self.producer.send_batch(batch, topic, partition=partition))
        return sent

    async def close(self) -> None:
        """Flush and disconnect."""
        self._closed = True
        await self.producer.stop()


def _free(record: LogRecord) -> bool:
    return record.partition is None


def _place(record: LogRecord) -> tuple[str, int]:
    return record.topic, record.partition or 0


def _added(batch: Any, record: LogRecord, value: bytes) -> bool:
    added = batch.append(
        timestamp=None,
        key=record.key,
        value=value,
        headers=list(record.headers),
    )
    return added is not None


async def _started(
    bootstrap: str, options: dict[str, Any], *, idempotent: bool
) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=idempotent,
        max_request_size=_REQUEST_BYTES_MAX,
        max_batch_size=_BATCH_BYTES_MAX,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        **options,
    )
    return await started(producer, bootstrap)
