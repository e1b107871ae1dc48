"""What waits for one partition of the log: a batch at a time, each judged by itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    UnknownError,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
)

from scoring.errors import LogUnavailable, RecordRefused
from scoring.kafka.producer_renewal import Producers, Trouble
from scoring.ports.log import LogRecord

BATCH_BYTES_MAX = 200_000  # the producer's own limit counts the framing, too
# A broker closes the connection on a request beyond its own limit (100 MB by
# default), and the client would send it again for ever.
RECORD_BYTES_MAX = 32_000_000
# What the broker says of the records themselves. It says "unknown" of kinds of fault
# that this client has no name for, such as a record that a compacted topic cannot
# take; but also of faults of its own, so a single record is tried again.
_REFUSALS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidTimestampError,
    PolicyViolationError,
    UnsupportedForMessageFormatError,
)
_DOUBTFUL = (CorruptRecordException, UnknownError)
_DOUBTS_MAX = 5
_PATIENCE_S = 5.0  # then it is said that records wait
_REST_S, _REST_S_MAX = 0.1, 5.0


@dataclass(slots=True, eq=False)
class WaitingRecord:
    """One record on its way; `done` resolves when it is there, or never can be."""

    record: LogRecord
    value: bytes
    done: asyncio.Future[None]

    @property
    def bytes(self) -> int:
        """What it takes of a batch, about; its headers are of some 300 bytes."""
        return len(self.value) + len(self.record.key or b"") + 400


@dataclass(slots=True)
class PartitionQueue:
    """Appends what is put, in order, one batch at a time.

    A batch that failed left a gap in its producer's numbers, so whatever was the
    reason, the next one goes by another producer. Where the broker refused what is
    in it, it is halved until the record at fault is alone; the others continue.
    Anything else is the log's trouble, and passes.
    """

    producers: Producers
    trouble: Trouble
    topic: str
    partition: int
    _queue: deque[WaitingRecord] = field(default_factory=deque)
    _task: asyncio.Task[None] | None = None
    _bytes_max: int = BATCH_BYTES_MAX
    _failures: int = 0  # in a row
    _doubts: int = 0  # of the single record in front

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, waiting: WaitingRecord) -> None:
        """Append it after those before it."""
        self._queue.append(waiting)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def drop_cancelled(self) -> None:
        """Forget those that nobody waits for."""
        self._queue = deque(w for w in self._queue if not w.done.done())

    def fail(self, error: Exception) -> None:
        """Give up whatever waits."""
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.done.done():
                waiting.done.set_exception(error)

    async def close(self) -> None:
        """Stop, and give up what waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.fail(LogUnavailable("the log was closed before it acknowledged"))

    async def _run(self) -> None:
        try:
            while self._queue:
                await self._append_some()
        except Exception as error:  # noqa: BLE001 - whoever waits is to know
            self.fail(error)
        finally:
            self._task = None

    async def _append_some(self) -> None:
        producer = await self.producers.current()
        batch, taken = self._filled(producer)
        if not taken:
            return
        try:
            await self._acknowledged(producer, batch)
        except asyncio.CancelledError:
            self._queue.extendleft(reversed(taken))
            raise
        except Exception as error:  # noqa: BLE001 - whatever the client raises
            self.producers.let_go(producer)
            self._queue.extendleft(reversed(taken))
            await asyncio.sleep(self._judge(taken, error))
            return
        self._failures = self._doubts = 0
        self.trouble.over(self._place)
        for waiting in taken:
            if not waiting.done.done():
                waiting.done.set_result(None)

    def _filled(self, producer: AIOKafkaProducer) -> tuple[Any, list[WaitingRecord]]:
        """A batch of what waits longest, taken from the queue."""
        taken: list[WaitingRecord] = []
        batch, room = producer.create_batch(), self._bytes_max
        while self._queue:
            waiting = self._queue[0]
            if waiting.done.done():  # taken back
                self._queue.popleft()
                continue
            room -= waiting.bytes
            if taken and (room < 0 or not _added(batch, waiting)):
                break
            if not taken:
                _added(batch, waiting)  # the first always fits
            taken.append(self._queue.popleft())
        return batch, taken

    async def _acknowledged(self, producer: AIOKafkaProducer, batch: Any) -> None:
        if self.partition not in await producer.partitions_for(self.topic):
            raise UnknownTopicOrPartitionError(f"{self._place} is not there")
        batch.close()
        sent = await producer.send_batch(batch, self.topic, partition=self.partition)
        while not (await asyncio.wait((sent,), timeout=_PATIENCE_S))[0]:
            self.trouble.met(self._place, "no broker acknowledges")
        sent.result()

    def _judge(self, taken: Sequence[WaitingRecord], error: Exception) -> float:
        """What becomes of a batch that failed; returns when to continue, seconds."""
        doubtful = isinstance(error, _DOUBTFUL)
        if not doubtful and not isinstance(error, _REFUSALS):
            self._failures += 1
            if self._failures > 1:
                self.trouble.met(self._place, _said(error))
            return min(_REST_S * 2.0 ** min(self._failures - 1, 9), _REST_S_MAX)
        if len(taken) > 1:
            self._bytes_max = sum(w.bytes for w in taken) // 2
            return 0.0
        self._doubts += 1
        if doubtful and self._doubts < _DOUBTS_MAX:
            return _REST_S * 2.0**self._doubts
        self._doubts, self._bytes_max = 0, BATCH_BYTES_MAX
        (refused,) = taken
        self._queue.popleft()
        if not refused.done.done():
            refused.done.set_exception(RecordRefused(self.topic, _said(error)))
        return 0.0

    @property
    def _place(self) -> str:
        return f"{self.topic}/{self.partition}"


def _added(batch: Any, waiting: WaitingRecord) -> bool:
    record = waiting.record
    added = batch.append(
        timestamp=None,
        key=record.key,
        value=waiting.value,
        headers=list(record.headers),
    )
    return added is not None


def _said(error: Exception) -> str:
    """One line that names the kind of the error.

    >>> _said(MessageSizeTooLargeError())
    'MessageSizeTooLargeError'
    """
    return type(error).__name__
