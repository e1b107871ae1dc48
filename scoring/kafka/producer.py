"""The log on Kafka: records appended with every in-sync replica's acknowledgement."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from scoring.errors import LogUnavailable, RecordRefused, RecordsRefused
from scoring.kafka.client_options import client_options
from scoring.kafka.partition_batches import (
    RECORD_BYTES_MAX,
    PartitionQueue,
    WaitingRecord,
)
from scoring.kafka.producer_renewal import Producers, Trouble
from scoring.ports.events import Event
from scoring.ports.log import LogRecord

# Below the group's request timeout, so that an unavailable broker is seen here first.
_REQUEST_TIMEOUT_S = 20.0
_WAITING_MAX = 250_000
_TAKEN_BACK_MAX = 1_000  # forgotten when so many came together
_CLOSE_S = 5.0
_RETRY_S = 1.0
_FIRST_CONTACT = "all topics"
_murmur2 = DefaultPartitioner()
FindFrames = Callable[[], Mapping[str, bytes]]


def nobody_counts(_event: Event) -> None:
    """Nobody counts."""


@dataclass(slots=True)
class KafkaLog:
    """Appends through one producer; idempotent wherever the broker can.

    `frames` holds, by topic, what a schema registry's clients expect before a value;
    `find_frames` asks for them, and blocks. Nothing is sent before the first `contact`.
    """

    producers: Producers
    trouble: Trouble
    find_frames: FindFrames
    frames: Mapping[str, bytes] | None = None
    _contacting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _queues: dict[tuple[str, int], PartitionQueue] = field(default_factory=dict)
    _unplaced: defaultdict[str, list[WaitingRecord]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _placing: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _taken_back: int = 0
    _closed: bool = False

    @classmethod
    async def connect(
        cls,
        bootstrap: str,
        *,
        options: Mapping[str, str] | None = None,
        find_frames: FindFrames = dict,
        count: Callable[[Event], None] = nobody_counts,
        request_timeout_s: float = _REQUEST_TIMEOUT_S,
    ) -> KafkaLog:
        """A log that is in contact; raises as `contact`. See `unconnected`."""
        log = cls.unconnected(
            bootstrap,
            options=options,
            find_frames=find_frames,
            count=count,
            request_timeout_s=request_timeout_s,
        )
        await log.contact()
        return log

    @classmethod
    def unconnected(
        cls,
        bootstrap: str,
        *,
        options: Mapping[str, str] | None = None,
        find_frames: FindFrames = dict,
        count: Callable[[Event], None] = nobody_counts,
        request_timeout_s: float = _REQUEST_TIMEOUT_S,
    ) -> KafkaLog:
        """A log that is unavailable until `contact`; raises `BadArtifact`.

        `count` gets `log_unavailable` and `log_recovered`. One request may take
        `request_timeout_s`; then the client asks again.
        """
        trouble = Trouble(count)
        producers = Producers(
            bootstrap, client_options(options or {}), request_timeout_s, trouble
        )
        return cls(producers, trouble, find_frames)

    async def contact(self) -> None:
        """Find the broker, and the registry where there is one, once.

        Raises `LogUnavailable`, and `BadArtifact` where our settings are refused.
        """
        async with self._contacting:
            if self.frames is not None:
                return
            try:
                frames = await asyncio.to_thread(self.find_frames)
                await self.producers.begin()
            except LogUnavailable as error:
                self.trouble.met(_FIRST_CONTACT, str(error))
                raise
            self.frames = frames
            self.trouble.over(_FIRST_CONTACT)

    @property
    def idempotent(self) -> bool:
        """Whether what the client repeats is appended once."""
        return self.producers.idempotent

    @property
    def in_contact(self) -> bool:
        """Whether it answered, once."""
        return self.frames is not None

    @property
    def unavailable(self) -> bool:
        """Whether there was no contact yet, or something waits for the log."""
        return not self.in_contact or bool(self.trouble.places)

    def send(self, records: Sequence[LogRecord]) -> list[asyncio.Future[None]]:
        """See `ports.DecisionLog`."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        if self.frames is None:
            raise LogUnavailable("no broker has answered yet")
        if self._count() + len(records) > _WAITING_MAX:
            raise LogUnavailable(f"{_WAITING_MAX} records wait for the log")
        new = asyncio.get_running_loop().create_future
        sent = [
            WaitingRecord(record, self._framed(record), new()) for record in records
        ]
        for waiting in sent:
            self._place(waiting)
        return [waiting.done for waiting in sent]

    async def append(self, records: Sequence[LogRecord]) -> None:
        """See `ports.DecisionLog`."""
        sent = self.send(records)
        try:
            told = await asyncio.gather(*sent, return_exceptions=True)
        except asyncio.CancelledError:
            self._take_back(len(sent))
            raise
        raise_refused(told)

    def _count(self) -> int:
        unplaced = sum(map(len, self._unplaced.values()))
        return unplaced + sum(map(len, self._queues.values()))

    def _framed(self, record: LogRecord) -> bytes:
        frame = self.frames.get(record.topic) if self.frames else None
        return frame + record.value if frame else record.value

    def _place(self, waiting: WaitingRecord) -> None:
        record = waiting.record
        if len(waiting.value) > RECORD_BYTES_MAX:
            size = f"{len(waiting.value)} bytes are more than any broker takes"
            waiting.done.set_exception(RecordRefused(record.topic, size))
        elif record.partition is not None:
            self._queue(record.topic, record.partition).put(waiting)
        elif self._unplaced[record.topic] or not self._placed(
            self.producers.at_hand, record.topic, [waiting]
        ):
            self._unplaced[record.topic].append(waiting)
            if record.topic not in self._placing:
                task = asyncio.get_running_loop().create_task(
                    self._place_later(record.topic)
                )
                self._placing[record.topic] = task

    def _placed(
        self,
        producer: AIOKafkaProducer | None,
        topic: str,
        records: Iterable[WaitingRecord],
    ) -> bool:
        """Put them to the partitions of their keys; False where these are not known."""
        cluster = producer.client.cluster if producer is not None else None
        known = cluster.partitions_for_topic(topic) if cluster is not None else None
        if cluster is None or not known:
            return False
        partitions = sorted(known)
        for waiting in records:
            key = waiting.record.key
            if key is None:
                usable = list(cluster.available_partitions_for_topic(topic) or ())
                partition = random.choice(usable or partitions)  # noqa: S311
            else:
                partition = _murmur2(key, partitions, partitions)
            self._queue(topic, partition).put(waiting)
        return True

    async def _place_later(self, topic: str) -> None:
        """Place what waits for a topic's partitions to be known."""
        while self._unplaced[topic]:
            producer = await self.producers.current()
            try:
                await producer.partitions_for(topic)
            except Exception as error:  # noqa: BLE001 - whatever the client raises
                self.trouble.met(topic, f"no partitions: {type(error).__name__}")
                await asyncio.sleep(_RETRY_S)
                continue
            waiting, self._unplaced[topic] = self._unplaced[topic], []
            if self._placed(producer, topic, waiting):
                self.trouble.over(topic)
            else:
                self._unplaced[topic] = waiting + self._unplaced[topic]
        del self._placing[topic]

    def _queue(self, topic: str, partition: int) -> PartitionQueue:
        queue = self._queues.get((topic, partition))
        if queue is None:
            queue = PartitionQueue(self.producers, self.trouble, topic, partition)
            self._queues[topic, partition] = queue
        return queue

    def _take_back(self, count: int) -> None:
        self._taken_back += count
        if self._taken_back >= _TAKEN_BACK_MAX:
            self._taken_back = 0
            for queue in self._queues.values():
                queue.drop_cancelled()
            for topic, waiting in self._unplaced.items():
                self._unplaced[topic] = [w for w in waiting if not w.done.done()]

    async def close(self) -> None:
        """Flush, unless the log is unavailable, and disconnect."""
        self._closed = True
        ends = asyncio.get_running_loop().time() + _CLOSE_S
        while self._count() and not self.unavailable:
            if asyncio.get_running_loop().time() > ends:
                break
            await asyncio.sleep(0.01)
        for task in self._placing.values():
            task.cancel()
        for queue in self._queues.values():
            await queue.close()
        for waiting in [w for each in self._unplaced.values() for w in each]:
            if not waiting.done.done():
                waiting.done.set_exception(LogUnavailable("the log is closed"))
        await self.producers.close()


def raise_refused(told: Sequence[object]) -> None:
    """Raise for what futures of `send` said; nothing where all is acknowledged."""
    refused = {i: e for i, e in enumerate(told) if isinstance(e, RecordRefused)}
    for error in told:
        if isinstance(error, BaseException) and not isinstance(error, RecordRefused):
            raise error
    if refused:
        raise RecordsRefused(refused)
