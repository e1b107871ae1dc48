"""What lies in a topic beneath its records: the batches as the broker keeps them."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_BYTES_MAX = 50_000_000


async def codecs_in(bootstrap: str, topic: str, partition: int = 0) -> set[str]:
    """The codecs of the batches of one partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    place, found = TopicPartition(topic, partition), set()
    try:
        offset = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        client = consumer._client
        while offset < end:
            asked = [(topic, [(partition, offset, _BYTES_MAX)])]
            node = client.cluster.leader_for_partition(place)
            answer = await client.send(node, FetchRequest(500, 1, _BYTES_MAX, 0, asked))
            [(_, [(*_, kept)])] = answer.topics
            batches = MemoryRecords(kept)
            while batches.has_next():
                batch = batches.next_batch()
                found.add(_CODECS[batch.compression_type])
                offset = batch.next_offset
    finally:
        await consumer.stop()
    return found
