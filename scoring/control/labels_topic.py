"""The topic `labels` as a relay writes it: labels of closed cases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scoring import wire
from scoring.control.database.outbox import OutboxRecord
from scoring.control.domain.topic_held import TopicHeld
from scoring.errors import LogUnavailable, RecordsRefused
from scoring.kafka.follow_up_records import follow_up_record
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics
from scoring.ports.log import LogRecord

_APPEND_S = 10.0


@dataclass(slots=True)
class LabelsTopic:
    """The topic on Kafka; see `RelayTopic`.

    Nobody is fenced, and nothing is read of it before: a label that is there twice has
    the same version and verdict, which counts once.
    """

    topics: Topics
    unconnected: Callable[[], KafkaLog]
    _log: KafkaLog | None = None

    async def begin(self) -> TopicHeld:
        """See `RelayTopic`."""
        await self.end()
        new = self.unconnected()
        try:
            await new.contact()
        except BaseException:
            await new.close()
            raise
        self._log = new
        return TopicHeld()

    async def append(self, records: Sequence[OutboxRecord]) -> None:
        """See `RelayTopic`."""
        if self._log is None:
            raise LogUnavailable("no broker was reached yet")
        try:
            async with asyncio.timeout(_APPEND_S):
                await self._log.append([self._label(each) for each in records])
        except TimeoutError as error:
            raise LogUnavailable(
                f"{self.topics.labels}: the broker does not take labels"
            ) from error
        except RecordsRefused as error:
            raise LogUnavailable(str(error)) from error

    async def end(self) -> None:
        """See `RelayTopic`."""
        old, self._log = self._log, None
        if old is not None:
            await old.close()

    def _label(self, record: OutboxRecord) -> LogRecord:
        """A label's record, in the partition of its transaction's."""
        assert record.value is not None
        told = follow_up_record(self.topics, wire.label_from_bytes(record.value))
        return replace(told, key=record.key.encode() or None)
