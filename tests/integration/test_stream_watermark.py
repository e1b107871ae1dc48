"""What the outputs hold, read from their tails; on both brokers."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from stream_parts import NOW_MS

from scoring.doors.stream.input_fingerprint import source_headers
from scoring.doors.stream.output_dedup import OutputTail, Seen
from scoring.embedded.broker import broker_in_directory
from scoring.kafka.producer import KafkaLog
from scoring.kafka.startup_errors import reader
from scoring.ports.log import LogRecord


def an_input(offset: int, value: bytes | None = None, **more) -> SimpleNamespace:
    """An input record; two of one offset are equal where their values are."""
    return SimpleNamespace(
        offset=offset,
        key=b"k",
        value=b"payment %d" % offset if value is None else value,
        headers=(("trace", None),),
        **{"timestamp": NOW_MS} | more,
    )


class Output:
    """A decisions topic to append to, and a reader of its tail."""

    def __init__(self, log, tail, topic):
        self.log, self.tail, self.topic = log, tail, topic

    async def append(self, *sources: int | None, partition: int = 0) -> None:
        await self.say(
            *[() if s is None else source_headers(an_input(s)) for s in sources],
            partition=partition,
        )

    async def say(self, *headers, partition: int = 0) -> None:
        await self.log.append(
            [
                LogRecord(
                    topic=self.topic,
                    key=b"k",
                    value=b"v",
                    headers=said,
                    partition=partition,
                )
                for said in headers
            ]
        )

    async def held(self, *, first, placed: bool = False):
        return await self.tail.held([(self.topic, placed)], 0, first=first)

    async def since(
        self, offset: int, *, until: int = 300, at_ms: int = NOW_MS, **more
    ) -> set[int]:
        held = await self.held(first=an_input(offset, timestamp=at_ms, **more))
        return {
            n
            for n in range(offset, until)
            if not held.lacks(an_input(n), lambda _: None)
        }


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
    assert await output.since(3, at_ms=much_later, timestamp_type=1) == set()


async def test_an_output_of_another_record_at_the_same_offset_proves_nothing(output):
    await output.append(*range(5))
    held = await output.held(first=an_input(0))
    made_again = [an_input(n, b"another payment") for n in range(5)]
    assert all(held.lacks(record, lambda _: None) for record in made_again)


async def test_a_decision_proves_its_record_at_whatever_offset_it_lies_now(output):
    await output.append(*range(5))
    held = await output.held(first=an_input(0))
    mirrored = [an_input(n + 100, b"payment %d" % n) for n in range(5)]
    assert not any(held.lacks(record, lambda _: None) for record in mirrored)


async def test_a_letter_proves_one_record_and_not_its_twin(output):
    await output.append(3)
    held = await output.held(first=an_input(3), placed=True)
    assert not held.lacks(an_input(3), lambda _: None)
    assert held.lacks(an_input(4, b"payment 3"), lambda _: None)


async def test_an_output_of_an_earlier_release_proves_by_its_transactions_id(output):
    await output.say((("transaction-id", b"t7"), ("src", b"7")))
    held = await output.held(first=an_input(7))
    assert not held.lacks(an_input(7), lambda _: b"t7")
    assert held.lacks(an_input(7), lambda _: b"t8")
    assert held.lacks(an_input(7), lambda _: None)
    assert held.lacks(an_input(8), lambda _: b"t7")


async def test_whatever_foreign_writers_say_in_these_headers_proves_nothing(output):
    await output.say(
        (("src", None),),
        (("src", b""),),
        (("src", b"-1"),),
        (("src", "٣".encode()),),
        (("src", b"9" * 5_000),),
        (("src", b"3"), ("src-print", None)),
        (("src", b"3"), ("src-print", b"g" * 16)),
        (("src", b"3"), ("src-print", b"1" * 17)),
        (("src-print", b"1" * 16),),
    )
    assert await output.since(0) == set()


async def test_a_producers_clock_an_hour_ahead_does_not_end_the_search(output):
    await output.append(5, *[None] * 1_500)
    ahead = NOW_MS + 2 * 3_600_000
    assert await output.since(5, at_ms=ahead, timestamp_type=0) == {5}


async def test_reading_far_back_is_a_sign_of_progress(output):
    signs = []
    output.tail = replace(output.tail, forward=lambda: signs.append(1))
    await output.append(*range(3_000))
    assert len(await output.since(0)) == 300
    assert len(signs) > 1


async def test_a_broker_that_is_silent_has_not_said_that_an_output_is_empty(tmp_path):
    own, tp = broker_in_directory(tmp_path), TopicPartition("decisions", 0)
    own.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=own.address)
    await admin.start()
    await admin.create_topics([NewTopic(tp.topic, 1, 1)])
    await admin.close()
    tail = OutputTail(
        bootstrap=own.address, options={}, fetch_wait_ms=1, ends_exact=False
    )
    async with reader(own.address, {}, auto_offset_reset="earliest") as consumer:
        consumer.assign([tp])
        assert await consumer.getmany(tp, timeout_ms=200) == {}
        own.pause()
        await asyncio.sleep(0.2)  # what it had answered before has come
        reading = asyncio.ensure_future(tail._read(consumer, tp, 0, Seen(placed=False)))
        try:
            done, _ = await asyncio.wait((reading,), timeout=2)
            assert not done
            own.resume()
            await asyncio.wait_for(reading, 30)
        finally:
            reading.cancel()
            own.resume()
    own.stop()
