"""The topic `control` as the relay writes it: in transactions, one writer at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced, UnknownError

from scoring.control.database.outbox import OutboxRecord
from scoring.control.domain.topic_held import TopicHeld
from scoring.errors import LogUnavailable
from scoring.kafka.startup_errors import reader, started
from scoring.kafka.topic_admin import TopicAdmin
from scoring.wire.control_json import sealing

log = logging.getLogger(__name__)
# A value is a policy's text or a chunk of a list: 512 kB, and what JSON adds to it.
_REQUEST_BYTES_MAX = 4_194_304
_REQUEST_TIMEOUT_MS = 5_000
# Readers wait behind what a relay left open when it was killed; the next one ends it.
_TRANSACTION_TIMEOUT_MS = 10_000
_POLL_MS = 200
_ASKED_MAX = 3
_ASK_AGAIN_S = 0.2


class Fenced(Exception):
    """Another relay writes to the topic since; this one has stopped."""


class RelayTopic(Protocol):
    """Where released records go."""

    async def begin(self) -> TopicHeld:
        """Be the one that writes: whoever wrote before can no longer.

        Returns what the topic holds from then on, read to its end. Raises
        `LogUnavailable`.
        """
        ...

    async def append(self, records: Sequence[OutboxRecord]) -> None:
        """Append all of them in order, or none; returns once they are acknowledged.

        Raises `LogUnavailable`, after which nobody knows whether they are there, and
        `Fenced`. After either, `begin` again.
        """
        ...

    async def end(self) -> None:
        """Let go of it."""
        ...


@dataclass(slots=True)
class KafkaRelayTopic:
    """The topic on Kafka.

    `options` are those of an aiokafka client. A broker without transactions (the
    embedded one) cannot fence: there the lease alone holds, and readers pass over what
    they have.
    """

    bootstrap: str
    options: Mapping[str, Any]
    topic: str
    transactional_id: str
    _producer: AIOKafkaProducer | None = None
    _transactional: bool = True

    async def begin(self) -> TopicHeld:
        """See `RelayTopic`."""
        await self.end()
        self._producer = await self._fencing()
        self._transactional = self._producer is not None
        if self._producer is None:
            self._producer = await self._started(None)
        with _translated(self.topic):
            return await self._held()

    async def append(self, records: Sequence[OutboxRecord]) -> None:
        """See `RelayTopic`."""
        if self._producer is None:
            raise LogUnavailable("no broker was reached yet")
        with _translated(self.topic):
            if not self._transactional:
                await self._send(self._producer, records)
                return
            async with self._producer.transaction():
                await self._send(self._producer, records)

    async def end(self) -> None:
        """See `RelayTopic`."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, OSError):
                await producer.stop()

    async def _fencing(self) -> AIOKafkaProducer | None:
        """A producer that fences the one before; None at a broker that cannot.

        The embedded broker offers transactions and answers every one of them with an
        error that it does not name. Kafka may answer one so, too: it is asked again,
        and each time that a relay begins.
        """
        for asked in range(_ASKED_MAX):
            await asyncio.sleep(asked * _ASK_AGAIN_S)
            try:
                return await self._started(self.transactional_id)
            except UnknownError:
                continue
        log.warning(
            "the broker has no transactions: a relay that lost its lease is stopped by "
            "the lease alone"
        )
        return None

    async def _held(self) -> TopicHeld:
        """Read it to its end; nobody else writes meanwhile."""
        async with TopicAdmin(self.bootstrap, self.options) as admin:
            if not (await admin.found([self.topic]))[self.topic].exists:
                raise LogUnavailable(
                    f"{self.topic} is missing: `scoring topics create`"
                )
        held, place = TopicHeld(), TopicPartition(self.topic, 0)
        async with reader(
            self.bootstrap, self.options, auto_offset_reset="earliest"
        ) as consumer:
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            # A transaction marker takes an offset and is never handed out; the embedded
            # broker's end runs behind.
            records = None
            while records != [] or await consumer.position(place) < end:
                polled = await consumer.getmany(place, timeout_ms=_POLL_MS)
                records = polled.get(place, [])
                for record in records:
                    held.take(record.key, record.value, record.headers)
        return held

    async def _started(self, transactional_id: str | None) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            transactional_id=transactional_id,
            transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            max_request_size=_REQUEST_BYTES_MAX,
            compression_type="zstd",
            acks="all",
            **self.options,
        )
        return await started(producer, self.bootstrap)

    async def _send(
        self, producer: AIOKafkaProducer, records: Sequence[OutboxRecord]
    ) -> None:
        # One partition, one after the other: their order is the order of sending.
        sent = [
            await producer.send(
                self.topic,
                record.value,
                record.key.encode(),
                partition=0,
                headers=sealing(record.sequence, record.value),
            )
            for record in records
        ]
        for acknowledged in sent:
            await acknowledged


@contextmanager
def _translated(topic: str) -> Iterator[None]:
    try:
        yield
    except ProducerFenced as error:
        raise Fenced from error
    except (KafkaError, OSError) as error:
        raise LogUnavailable(
            f"{topic}: the broker does not take it: {error or type(error).__name__}"
        ) from error
