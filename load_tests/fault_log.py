"""What the log holds after a fault: an independent reader counts ids and records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition

_ID = "transaction-id"
_PATIENCE_S = 60.0
_SETTLE_S = 2.0  # in which a duplicate may still show


async def logged(
    bootstrap: str, topic: str, ids: Collection[str], *, partitions: int
) -> dict[str, int]:
    """How many of these ids the topic lacks, and what stands in it more than once.

    Waits for those that are on their way. `log_conflicting` counts ids whose records
    differ.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=50)
    await consumer.start()
    consumer.assign([TopicPartition(topic, p) for p in range(partitions)])
    await consumer.seek_to_beginning()
    records: Counter[str] = Counter()
    contents: dict[str, set[bytes]] = {}
    ends = time.monotonic() + _PATIENCE_S
    try:
        while time.monotonic() < ends:
            for found in (await consumer.getmany(timeout_ms=500)).values():
                for record in found:
                    id_ = (dict(record.headers)[_ID] or b"").decode()
                    records[id_] += 1
                    contents.setdefault(id_, set()).add(record.value)
            if contents.keys() >= set(ids):
                ends = min(ends, time.monotonic() + _SETTLE_S)
    finally:
        await consumer.stop()
    return {
        "log_lost": len(set(ids) - contents.keys()),
        "log_duplicated": records.total() - len(records),
        "log_conflicting": sum(len(each) > 1 for each in contents.values()),
    }
