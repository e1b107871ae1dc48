"""The search for a label's payment, on Apache Kafka: what it says it read, it read."""

import asyncio
from threading import Thread

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from foreign_producers import LibrdkafkaTransactions
from stream_parts import Input, create_topics, send, transaction

from scoring.doors.stream.stall_detector import Progress
from scoring.doors.stream.transaction_lookup import LogSearch
from scoring.history.archive import Archive, Incarnation
from scoring.history.search import ArchiveSearch
from scoring.kafka.reader import LogReader
from scoring.v1.decision_pb2 import Decision, DecisionCore

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
OLD_MS = 1_700_000_000_000
DECISIONS = ("decisions",)


class AtFirstRead(Progress):
    """Does something else once the first records of the topic were read."""

    def __init__(self, do):
        self.calls, self.do = 0, do
        super().__init__()

    def forward(self) -> None:
        super().forward()
        self.calls += 1
        if self.calls == 3:  # it was made, and the archive was searched
            other = Thread(target=lambda: asyncio.run(self.do()))
            other.start()
            other.join()


class Search:
    """A search through one decisions topic, which may be made and deleted."""

    def __init__(self, bootstrap, prefix, directory):
        self.bootstrap, self.prefix = bootstrap, prefix
        self.archive = Archive(directory / "archive")
        self.archive.prepare()
        self.progress = Progress()

    @property
    def topic(self) -> str:
        return f"{self.prefix}decisions"

    async def make(self) -> str:
        await create_topics(self.bootstrap, self.prefix, names=DECISIONS)
        async with LogReader(self.bootstrap, {}) as reader:
            return await reader.topic_id(self.topic)

    async def delete(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.delete_topics([self.topic])
        await admin.close()

    async def decided(self, *ids: str) -> None:
        inputs = [self.decision(id_, place % 4) for place, id_ in enumerate(ids)]
        await send(self.bootstrap, self.topic, inputs)

    def decision(self, id_: str, partition: int) -> Input:
        payment = transaction(id_, at_ms=OLD_MS)
        core = DecisionCore(tenant="default", transaction_id=id_)
        value = Decision(core=core, transaction=payment).SerializeToString()
        headers = (("transaction-id", id_.encode()),)
        return Input(value, partition=partition, headers=headers)

    async def ids(self, *ids: str):
        """The ids of what is found, and where was looked."""
        search = LogSearch(
            bootstrap=self.bootstrap,
            options={},
            topic=self.topic,
            fetch_wait_ms=100,
            progress=self.progress,
            archive=ArchiveSearch(self.archive),
        )
        found = await search.payments([("default", id_) for id_ in ids])
        return [payment and payment.id for payment in found.payments], found.where


@pytest.fixture
def search(kafka_bootstrap, topic_prefix, tmp_path):
    return Search(kafka_bootstrap, topic_prefix, tmp_path)


async def test_payments_of_every_partition_are_found(search):
    await search.make()
    await search.decided("a", "b", "c", "d", "e")
    found, where = await search.ids("e", "d", "nobody", "a", "b", "c")
    assert found == ["e", "d", None, "a", "b", "c"]
    assert where == f"searched: all of {search.topic}"


async def test_what_was_archived_of_a_topic_before_hides_nothing_of_this_one(search):
    first = await search.make()
    search.archive.begin("decisions", Incarnation(first))
    for partition in range(4):
        search.archive.take("decisions", partition, [], (0, 1_000))
    await search.delete()
    second = await search.make()
    await search.decided("a", "b", "c", "d")
    assert (await search.ids("a", "d"))[0] == ["a", "d"]
    # The archive counts on: its next offset is not the broker's.
    base = dict.fromkeys(range(4), 1_000)
    search.archive.begin("decisions", Incarnation(second, base))
    assert (await search.ids("a", "d"))[0] == ["a", "d"]
    search.archive.take("decisions", 0, [], (1_000, 1_001))  # and has taken "a"
    assert (await search.ids("a", "d"))[0] == [None, "d"]


async def test_a_topic_that_is_not_there_is_waited_for(search):
    """It was taken for one without payments, and the label for one of nobody."""
    waiting = asyncio.ensure_future(search.ids("a"))
    await asyncio.sleep(1)
    assert not waiting.done()
    await search.make()
    await search.decided("a")
    assert (await waiting)[0] == ["a"]


async def test_a_topic_made_again_while_it_is_searched_is_searched_again(search):
    await search.make()
    await search.decided(*(f"other-{i}" for i in range(40)))

    async def again() -> None:
        await search.delete()
        await search.make()
        await search.decided("a")

    search.progress = AtFirstRead(again)
    assert (await search.ids("a"))[0] == ["a"]


async def test_what_lies_behind_an_open_transaction_is_not_said_to_be_read(search):
    await search.make()
    await search.decided("a")
    foreign = await asyncio.to_thread(
        LibrdkafkaTransactions, search.bootstrap, f"{search.prefix}foreign"
    )

    def open_one() -> None:
        foreign.begin()
        foreign.send(search.topic, 0, [b"not ours"])

    await asyncio.to_thread(open_one)
    await search.decided("b")
    found, where = await search.ids("a", "b")
    assert found == ["a", None]
    assert where.endswith(" but 2 records behind a transaction that is not over")
    await asyncio.to_thread(foreign.commit)
    assert (await search.ids("a", "b"))[0] == ["a", "b"]
