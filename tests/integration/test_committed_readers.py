"""Every reader beside the worker is given committed records only, and comes to an end.

The partition has all that a transactional producer can leave: a committed transaction,
an aborted one, a marker last of all, and, where a test says so, one that hangs.
"""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from foreign_producers import LibrdkafkaTransactions
from stream_parts import NOW_MS, create_topics, transaction

from scoring.doors.stream.dead_letter_reader import Letters
from scoring.doors.stream.shadow_comparison import Rivals
from scoring.errors import LogUnavailable
from scoring.kafka.key_sample import sampled_keys
from scoring.kafka.reader import Extent, LogReader
from scoring.kafka.tail import decisions
from scoring.kafka.topic_names import Topics
from scoring.v1.decision_pb2 import Decision, DecisionCore
from scoring.v1.transaction_pb2 import DeadLetter

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


@pytest.fixture
async def written(kafka_bootstrap, topic_prefix):
    """Write values to a topic: two committed, two aborted, one committed."""
    await create_topics(kafka_bootstrap, topic_prefix, partitions=1)
    producer = await asyncio.to_thread(
        LibrdkafkaTransactions, kafka_bootstrap, f"{topic_prefix}t"
    )

    def turn(topic: str, values: list[bytes], end) -> None:
        producer.begin()
        producer.send(topic_prefix + topic, 0, values)
        if end:
            end()

    async def write(topic: str, values: list[bytes], *, hangs: bool = False):
        await asyncio.to_thread(turn, topic, values[:2], producer.commit)
        await asyncio.to_thread(turn, topic, values[2:4], producer.abort)
        await asyncio.to_thread(turn, topic, values[4:5], producer.commit)
        if hangs:
            await asyncio.to_thread(turn, topic, values[5:], None)
        return SimpleNamespace(bootstrap=kafka_bootstrap, topic=topic_prefix + topic)

    return write


def letters() -> list[bytes]:
    return [DeadLetter(message=f"m{i}").SerializeToString() for i in range(7)]


async def read(bootstrap: str, topic: str) -> tuple[dict[int, Extent], list[bytes]]:
    async with LogReader(bootstrap, {}) as log:
        extents = await log.extents(topic)
        found = [r async for _, batch in log.records(topic, extents) for r in batch]
    return extents, [record.value for record in found]


async def test_what_is_archived_and_rebuilt_is_what_was_committed(written, caplog):
    values = letters()
    place = await written("decisions", values)
    extents, found = await read(place.bootstrap, place.topic)
    assert found == [*values[:2], values[4]]
    assert extents == {0: Extent(0, 8)}  # five records and three markers
    assert not caplog.records


async def test_a_transaction_that_hangs_is_waited_for_by_nobody_and_said(
    written, caplog
):
    values = letters()
    place = await written("decisions", values, hangs=True)
    extents, found = await read(place.bootstrap, place.topic)
    assert found == [*values[:2], values[4]]
    assert extents == {0: Extent(0, 8)}
    [said] = [r.getMessage() for r in caplog.records if r.name.startswith("scoring")]
    assert "/0: 2 records wait behind a transaction" in said
    assert "opened at offset 8" in said


async def test_a_topic_that_is_deleted_while_it_is_read_ends_the_reading(written):
    """It went on for ever, and took a core."""
    place = await written("decisions", letters())
    async with LogReader(place.bootstrap, {}) as log:
        records = log.records(place.topic, {0: Extent(0, 100)})
        await anext(records)
        admin = AIOKafkaAdminClient(bootstrap_servers=place.bootstrap)
        await admin.start()
        await admin.delete_topics([place.topic])
        await admin.close()
        with pytest.raises(LogUnavailable, match="deleted while it was read"):
            async for _ in records:
                pass


async def test_aborted_letters_are_not_sent_again(written):
    place = await written("transactions.dead-letter", letters())
    found = await Letters(
        bootstrap=place.bootstrap, options={}, topic=place.topic
    ).read()
    assert [letter.message.message for letter in found] == ["m0", "m1", "m4"]


async def test_aborted_transactions_are_not_sampled(written):
    values = [transaction(f"t{i}").SerializeToString() for i in range(5)]
    place = await written("transactions", values)
    keys = await sampled_keys(place.bootstrap, place.topic, 1, options={})
    assert keys.sampled == 3


def decided(i: int) -> bytes:
    core = DecisionCore(transaction_id=f"t{i}", outcome=1, score=0.5)
    core.versions.model = "0123456789abcdef"
    return Decision(core=core).SerializeToString()


async def test_aborted_decisions_are_not_shown(written):
    place = await written("decisions", [decided(i) for i in range(5)])
    shown, followed = (
        [],
        decisions(
            place.bootstrap,
            place.topic,
            options={},
            fetch_wait_ms=100,
            from_beginning=True,
        ),
    )
    async for decision in followed:
        shown.append(decision.core.transaction_id)
        if len(shown) == 3:
            break
    await followed.aclose()
    assert shown == ["t0", "t1", "t4"]


async def test_aborted_decisions_are_not_compared(written, topic_prefix):
    place = await written("decisions", [decided(i) for i in range(5)])
    version = "0123456789abcdef"
    compared = await Rivals(
        bootstrap=place.bootstrap, client={}, topics=Topics(topic_prefix)
    ).compared(version, version, since_ms=0, until_ms=NOW_MS + 3_600_000)
    assert len(compared) == 3
