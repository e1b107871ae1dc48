"""The independent consumer: every record of some topics, each once.

A plain Kafka client that shares no code with the service.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_LOOK_AGAIN_S = 0.5
_LOOKS_MAX = 20  # then it is no record, but a mark of the broker's own
_JUMP_MAX = 1_000  # a longer one is retention, which deletes from the beginning

# Told of every record: topic, value, broker timestamp in milliseconds.
OnRecord = Callable[[str, bytes, int], None]


@dataclass(slots=True)
class Positions:
    """Which offsets of one partition were read, and which were jumped over.

    The embedded broker can show a record before an earlier one that another producer
    still writes. A reader that only goes forward never reads that one.
    """

    next_offset: int
    _jumped: dict[int, int] = field(default_factory=dict)  # offset: looks so far

    def is_new(self, offset: int) -> bool:
        """Take note of a record; False where it was read before.

        >>> seen = Positions(0)
        >>> [seen.is_new(offset) for offset in (0, 2, 1, 2, 3)]
        [True, True, True, False, True]
        """
        if offset < self.next_offset:
            return self._jumped.pop(offset, None) is not None
        first = max(self.next_offset, offset - _JUMP_MAX)
        self._jumped |= dict.fromkeys(range(first, offset), 0)
        self.next_offset = offset + 1
        return True

    def look_again(self) -> int | None:
        """Where to read from once more; None where nothing was jumped over.

        >>> seen = Positions(5)
        >>> seen.is_new(8), seen.look_again(), seen.is_new(6), seen.look_again()
        (True, 5, True, 5)
        """
        self._jumped = {
            offset: looks + 1
            for offset, looks in self._jumped.items()
            if looks < _LOOKS_MAX
        }
        return min(self._jumped, default=None)


async def read_topics(
    client: dict[str, Any],
    topics: tuple[str, ...],
    *,
    fetch_wait_ms: int,
    on_record: OnRecord,
) -> None:
    """Read topics from their beginning, every partition, until cancelled."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        *topics,
        **client,
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=fetch_wait_ms,
    )
    await consumer.start()
    try:
        begin = await consumer.beginning_offsets(consumer.assignment())
        positions = {each: Positions(offset) for each, offset in begin.items()}
        looked_at = time.monotonic()
        while True:
            polled = await consumer.getmany(timeout_ms=200, max_records=1_000)
            for partition, records in polled.items():
                is_new = positions[partition].is_new
                for record in records:
                    if is_new(record.offset):
                        on_record(partition.topic, record.value, record.timestamp)
            if time.monotonic() - looked_at > _LOOK_AGAIN_S:
                looked_at = time.monotonic()
                _go_back(consumer, positions)
            await asyncio.sleep(0)
    finally:
        await consumer.stop()


def _go_back(consumer: Any, positions: dict[Any, Positions]) -> None:
    for partition, each in positions.items():
        if (offset := each.look_again()) is not None:
            consumer.seek(partition, offset)
