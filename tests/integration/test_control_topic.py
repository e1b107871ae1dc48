"""Releases reach a replica by Apache Kafka, whatever happens to broker and topic."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from kafka_cluster import kafka_cluster, why_not
from release_parts import CATALOGUE, Control, policy_text

from scoring.core.policy.in_force import InForce
from scoring.core.policy.shipped_policy import default_policy
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper
from scoring.releases.control_topic import ControlTopic
from scoring.releases.follower import ReleaseFollower
from scoring.releases.policy_registry import PolicyRegistry
from scoring.releases.release_keeper import ReleaseKeeper

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
WITHIN_S = 60
CLEANED = "log.cleaner.enable=true\nlog.cleaner.backoff.ms=200\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if missing := why_not():
        pytest.fail(missing)
    with kafka_cluster(tmp_path_factory.mktemp("control"), more=CLEANED) as node:
        yield node


@pytest.fixture
async def control(cluster, topic_prefix):
    control = Control(cluster.bootstrap, f"{topic_prefix}control")
    await control.create()
    return control


class Replica:
    def __init__(self, bootstrap, topic, directory):
        self.told = []
        self.in_force = InForce(default_policy(CATALOGUE))
        registry = PolicyRegistry(directory / "policies", CATALOGUE)
        self.keeper = ReleaseKeeper(directory / "last-good", registry, self.told.append)
        self.begun = self.keeper.open()
        lists = ListKeeper(ListFiles(directory / "lists"), self.told.append)
        lists.open()
        self.topic = ControlTopic(bootstrap, {}, topic)
        self.follower = ReleaseFollower(
            self.topic, self.keeper, lists, self.swap, lambda *_: None
        )

    def swap(self, change):
        self.in_force = change(self.in_force)

    async def until(self, number):
        version = policy_text(number).version
        await self.until_it(
            lambda: self.release == number and self.in_force.policy.version == version
        )

    async def until_it(self, holds):
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                await asyncio.sleep(0.02)

    @property
    def release(self):
        current = self.keeper.current
        return 0 if current is None else current.release.release


@asynccontextmanager
async def following(control, directory):
    replica = Replica(control.bootstrap, control.topic, directory)
    task = asyncio.create_task(replica.follower.follow())
    try:
        yield replica
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_release_is_in_force_and_the_next_one_too(control, tmp_path):
    async with following(control, tmp_path) as replica:
        await asyncio.wait_for(replica.follower.caught_up.wait(), WITHIN_S)
        await control.publish(1)
        await replica.until(1)
        await control.publish(2)
        await replica.until(2)
        assert replica.told == []


async def test_what_is_not_committed_is_never_in_force(control, tmp_path):
    async with following(control, tmp_path) as replica:
        async with control.relay() as producer:
            await producer.begin_transaction()
            await control.send(producer, *control.outbox.publish(1))
            await producer.abort_transaction()
            await producer.begin_transaction()
            await control.send(producer, *control.outbox.publish(2))
            await asyncio.sleep(0.5)
            assert replica.release == 0
            await producer.commit_transaction()
        await replica.until(2)


async def test_a_compacted_log_brings_the_newest_release(control, tmp_path):
    for number in (1, 2, 3):
        await control.publish(number)
        await asyncio.sleep(0.3)  # a segment of its own, which is then compacted
    await asyncio.sleep(2)
    async with following(control, tmp_path) as replica:
        await replica.until(3)
        assert replica.keeper.registry.text(policy_text(1).version) is not None


async def test_garbage_between_releases_is_refused_and_stops_nothing(control, tmp_path):
    async with following(control, tmp_path) as replica:
        await control.publish(1)
        async with control.relay() as producer, producer.transaction():
            await producer.send_and_wait(control.topic, b"\x00\xff", key=b"policy")
        await replica.until_it(lambda: "header sequence" in replica.keeper.refused)
        assert replica.release == 1
        await control.publish(2)
        await replica.until(2)
        assert replica.keeper.refused == ""


async def test_a_truncated_topic_undoes_nothing_and_is_followed(
    cluster, topic_prefix, tmp_path
):
    control = Control(cluster.bootstrap, f"{topic_prefix}control")
    # Kafka truncates nothing that is compacted only: somebody has to have changed it.
    await control.create(**{"cleanup.policy": "compact,delete"})
    async with following(control, tmp_path) as replica:
        await control.publish(1)
        await replica.until(1)
        await control.truncate()
        await control.publish(2)
        await replica.until(2)
    async with following(control, tmp_path) as again:
        assert again.begun.release.release == 2
        await asyncio.wait_for(again.follower.caught_up.wait(), WITHIN_S)
        assert again.release == 2


async def test_a_topic_that_is_deleted_and_made_again_is_read_anew(control, tmp_path):
    async with following(control, tmp_path) as replica:
        for number in (1, 2, 3):
            await control.publish(number)
        await replica.until(3)
        await control.delete()
        await control.create()
        await asyncio.sleep(1)
        assert replica.release == 3
        # As many records as were there: by their offsets alone they look read.
        for number in (4, 5, 6):
            await control.publish(number)
        await replica.until(6)


async def test_a_missing_topic_is_said_and_awaited(control, tmp_path):
    await control.publish(1)
    async with following(control, tmp_path) as replica:
        await replica.until(1)
    await control.delete()
    async with following(control, tmp_path) as replica:
        assert replica.begun.release.release == 1
        await asyncio.sleep(1)
        assert not replica.topic.following
        await control.create()
        await control.publish(2)
        await replica.until(2)


async def test_a_replica_starts_without_kafka_and_follows_when_it_returns(
    cluster, control, tmp_path
):
    await control.publish(1)
    async with following(control, tmp_path / "a") as replica:
        await replica.until(1)
        cluster.stop(kill=True)
        async with following(control, tmp_path / "b") as late:
            await asyncio.sleep(1.5)
            assert (replica.release, late.release) == (1, 0)
            cluster.start()
            await control.publish(2)
            await replica.until(2)
            await late.until(2)
