"""What the outputs hold, read from their tails; on both brokers."""

from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from stream_parts import NOW_MS

from scoring.adapters.kafka_log import KafkaLog
from scoring.adapters.kafka_watermark import OutputTail
from scoring.ports import LogRecord


class Output:
    """A decisions topic to append to, and a reader of its tail."""

    def __init__(self, log, tail, topic):
        self.log, self.tail, self.topic = log, tail, topic

    async def append(self, *sources: int | None, partition: int = 0) -> None:
        await self.log.append(
            [
                LogRecord(
                    topic=self.topic,
                    key=b"k",
                    value=b"v",
                    headers=() if s is None else (("src", b"%d" % s),),
                    partition=partition,
                )
                for s in sources
            ]
        )

    async def since(self, offset: int, *, at_ms: int = NOW_MS) -> set[int]:
        first = SimpleNamespace(offset=offset, timestamp=at_ms)
        return await self.tail.sources([self.topic], 0, first=first)


@pytest.fixture
async def output(broker, topic_prefix):
    topic = f"{topic_prefix}decisions"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    log = await KafkaLog.connect(broker.bootstrap)
    tail = OutputTail(
        bootstrap=broker.bootstrap,
        options={},
        fetch_wait_ms=broker.fetch_wait_ms,
        ends_exact=log.idempotent,
    )
    yield Output(log, tail, topic)
    await log.close()


async def test_an_empty_output_holds_nothing(output):
    assert await output.since(0) == set()


async def test_exactly_the_offsets_that_were_written_are_held(output):
    await output.append(*range(5), 6, 9)
    assert await output.since(3) == {3, 4, 6, 9}


async def test_a_hole_below_what_was_written_stays_a_hole(output):
    await output.append(1, 2, 7, 8)
    held = await output.since(3)
    assert held == {7, 8}
    assert not held & {3, 4, 5, 6}


async def test_foreign_records_are_passed_over(output):
    await output.append(1, None, 2, None, None)
    assert await output.since(1) == {1, 2}


async def test_a_tail_full_of_foreign_records_is_read_further_back(output):
    await output.append(4, 5, *[None] * 3_000)
    assert await output.since(5) == {5}


async def test_other_partitions_do_not_count(output):
    await output.append(1, 2, partition=1)
    assert await output.since(0) == set()


async def test_a_record_written_out_of_order_is_still_found(output):
    await output.append(*range(10, 200), 5, 200)
    assert await output.since(5) == {5, *range(10, 201)}


async def test_it_stops_where_the_output_is_older_than_the_input(output):
    await output.append(*[None] * 9_000)
    much_later = NOW_MS + 48 * 3_600_000
    assert await output.since(3, at_ms=much_later) == set()
