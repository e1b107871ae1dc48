"""Record batches written by hand, byte for byte, and sent to a broker as they are.

No client library sends what a broker will take: header names that are no UTF-8, values
that inflate without end, times of any year.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cramjam
from aiokafka import TopicPartition
from aiokafka import codec as codecs
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = (NONE, GZIP, SNAPPY, LZ4, ZSTD)


@dataclass(slots=True)
class Raw:
    """One record; names of headers are bytes, as on the wire."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[bytes, bytes | None]] = ()
    timestamp: int = 0
    attributes: int = 0


def varint(number: int) -> bytes:
    number = (number << 1 ^ number >> 63) & (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def sized(part: bytes | None) -> bytes:
    return varint(-1) if part is None else varint(len(part)) + part


def body(records: Sequence[Raw]) -> bytes:
    out = bytearray()
    for n, one in enumerate(records):
        said = (
            bytes((one.attributes,))
            + varint(one.timestamp - records[0].timestamp)
            + varint(n)
            + sized(one.key)
            + sized(one.value)
            + varint(len(one.headers))
            + b"".join(sized(name) + sized(value) for name, value in one.headers)
        )
        out += varint(len(said)) + said
    return bytes(out)


def packed(plain: bytes, codec: int, *, framed: bool = True) -> bytes:
    """`framed` snappy is the Java library's; librdkafka sends one bare block."""
    if codec == GZIP:
        gzip = zlib.compressobj(wbits=31)
        return gzip.compress(plain) + gzip.flush()
    if codec == SNAPPY:
        return codecs.snappy_encode(plain, xerial_compatible=framed)
    if codec == LZ4:
        return codecs.lz4_encode(plain)
    return bytes(cramjam.zstd.compress(plain)) if codec == ZSTD else plain


def batch(
    records: Sequence[Raw], codec: int = NONE, *, base: int = 0, framed: bool = True
) -> bytes:
    """One batch of format 2."""
    inner = packed(body(records), codec, framed=framed)
    times = [one.timestamp for one in records]
    signed = struct.pack(
        ">hiqqqhii",
        codec,
        len(records) - 1,
        times[0],
        max(times),
        -1,
        -1,
        -1,
        len(records),
    )
    crc = calc_crc32c(signed + inner)
    head = struct.pack(">qiibI", base, 9 + len(signed) + len(inner), 0, 2, crc)
    return head + signed + inner


async def produce(
    bootstrap: str, topic: str, batches: Sequence[tuple[int, bytes]]
) -> list[int]:
    """Send (partition, batch) one after the other; the offset of the first record of
    each, -1 where the broker refused it.
    """
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    await client.set_topics([topic])
    offsets = []
    for partition, raw in batches:
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        request = ProduceRequest(
            transactional_id=None,
            required_acks=-1,
            timeout=30_000,
            topics=[(topic, [(partition, raw)])],
        )
        response = await client.send(node, request)
        _, refused, first, *_ = response.topics[0][1][0]
        offsets.append(-1 if refused else first)
    await client.close()
    return offsets
