"""The topic `control` on a real Apache Kafka: one writer, whole transactions."""

import pytest
from aiokafka.errors import UnknownError

from scoring.control.control_topic import Fenced, KafkaRelayTopic
from scoring.control.database.outbox import OutboxRecord
from scoring.errors import LogUnavailable
from scoring.kafka.startup_errors import reader
from scoring.kafka.topic_admin import TopicAdmin, create_topics
from scoring.kafka.topic_layout import Needs, faults
from scoring.kafka.topic_names import Topics
from scoring.wire.control_json import seal_of

pytestmark = pytest.mark.kafka


@pytest.fixture
async def topics(kafka_bootstrap, topic_prefix):
    found = Topics(topic_prefix)
    client = {"bootstrap_servers": kafka_bootstrap}
    await create_topics(client, found, partitions=1)
    return found


def writer(kafka_bootstrap, topics):
    return KafkaRelayTopic(kafka_bootstrap, {}, topics.control, f"{topics.control}-t")


def records(*sequences):
    return [OutboxRecord(n, f"key-{n}", b"value %d" % n) for n in sequences]


async def taken(kafka_bootstrap, topics, count):
    """The first committed records, as a reader takes them."""
    async with reader(
        kafka_bootstrap, {}, topics.control, auto_offset_reset="earliest"
    ) as consumer:
        found = [await consumer.getone() for _ in range(count)]
    for record in found:
        assert seal_of(record.headers).holds(record.value)
    return [seal_of(record.headers).sequence for record in found]


async def test_a_relay_that_lost_its_lease_cannot_write_after_the_next(
    kafka_bootstrap, topics
):
    stale, current = (writer(kafka_bootstrap, topics) for _ in range(2))
    await stale.begin()
    await stale.append(records(1, 2))
    await current.begin()
    with pytest.raises(Fenced):
        await stale.append(records(3))
    await current.append(records(3, 4))
    for each in (stale, current):
        await each.end()
    assert await taken(kafka_bootstrap, topics, 4) == [1, 2, 3, 4]


async def test_what_a_killed_relay_left_open_is_never_read(kafka_bootstrap, topics):
    killed, current = (writer(kafka_bootstrap, topics) for _ in range(2))
    await killed.begin()
    producer = killed._producer
    await producer.begin_transaction()
    await producer.send_and_wait(topics.control, b"half", b"key-1", partition=0)
    await current.begin()
    await current.append(records(1, 2))
    assert await taken(kafka_bootstrap, topics, 2) == [1, 2]
    for each in (killed, current):
        await each.end()


async def test_the_topics_that_create_makes_hold_every_guarantee(
    kafka_bootstrap, topics
):
    async with TopicAdmin(kafka_bootstrap, {}) as admin:
        found = await admin.found(topics.created)
    assert found[topics.control].configs["cleanup.policy"] == "compact"
    needs = Needs(dedupe_ms=8 * 86_400_000, rebuild_ms=0, control=True)
    assert faults(topics, found, needs) == []


async def test_one_error_without_a_name_does_not_turn_fencing_off(
    kafka_bootstrap, topics, monkeypatch
):
    stale, current = (writer(kafka_bootstrap, topics) for _ in range(2))
    started, asked = KafkaRelayTopic._started, []

    async def once_refused(self, id_):
        asked.append(id_)
        if len(asked) == 1:
            raise UnknownError
        return await started(self, id_)

    monkeypatch.setattr(KafkaRelayTopic, "_started", once_refused)
    await stale.begin()
    await current.begin()
    with pytest.raises(Fenced):
        await stale.append(records(1))
    for each in (stale, current):
        await each.end()


async def test_a_broker_that_was_found_without_transactions_is_asked_again(
    kafka_bootstrap, topics, monkeypatch
):
    started, asked = KafkaRelayTopic._started, []

    async def refused_at_first(self, id_):
        asked.append(id_)
        if id_ and len(asked) <= 3:
            raise UnknownError
        return await started(self, id_)

    monkeypatch.setattr(KafkaRelayTopic, "_started", refused_at_first)
    stale, current = (writer(kafka_bootstrap, topics) for _ in range(2))
    await stale.begin()  # without
    await stale.append(records(1))
    await stale.begin()
    await current.begin()
    with pytest.raises(Fenced):
        await stale.append(records(2))
    for each in (stale, current):
        await each.end()


async def test_a_missing_topic_is_an_outage_that_says_what_to_do(kafka_bootstrap):
    with pytest.raises(LogUnavailable, match="scoring topics create"):
        await KafkaRelayTopic(kafka_bootstrap, {}, "nowhere", "t").begin()
