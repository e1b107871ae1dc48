"""A database restored from a backup, on a real Apache Kafka: replicas follow again."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial

import pytest
from control_parts import ControlBench
from topic_parts import WHY, Plane, Topic

from scoring.control.control_topic import KafkaRelayTopic
from scoring.control.database.relaying import LeaseTable, RelayedOutbox
from scoring.control.desks.topic_agreement import agree
from scoring.control.lease import Lease
from scoring.control.relay import Relay
from scoring.control.replicas import Ages, Newest, Standing, standing_of
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.in_force import InForce
from scoring.core.policy.shipped_policy import default_policy
from scoring.core.release.list_release import token_hash
from scoring.core.release.replica import ReplicaReport
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper
from scoring.releases.control_topic import ControlTopic
from scoring.releases.follower import ReleaseFollower
from scoring.releases.policy_registry import PolicyRegistry
from scoring.releases.release_keeper import ReleaseKeeper

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
WITHIN_S = 60
CATALOGUE = default_catalogue()


@pytest.fixture
async def topics(kafka_bootstrap, topic_prefix):
    found = Topics(topic_prefix)
    await create_topics({"bootstrap_servers": kafka_bootstrap}, found, partitions=1)
    return found


@asynccontextmanager
async def relaying(plane, bootstrap, topics):
    """A control plane's relay until all is published, as `scoring control` runs it."""
    topic = KafkaRelayTopic(bootstrap, {}, topics.control, f"{topics.control}-relay")
    lease = Lease(LeaseTable(plane.database, "control", lambda: 0), "a", time.monotonic)
    rows = RelayedOutbox(plane.database)
    relay = Relay(rows, topic, lease, lambda: 1, partial(agree, plane.database))
    running = asyncio.create_task(relay.run())
    try:
        yield relay
        async with asyncio.timeout(WITHIN_S):
            while not relay.relays or await asyncio.to_thread(rows.waiting):
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def following(bootstrap, topics, directory):
    keeper = ReleaseKeeper(
        directory / "last-good",
        PolicyRegistry(directory / "policies", CATALOGUE),
        print,
    )
    keeper.open()
    lists = ListKeeper(ListFiles(directory / "lists"), print)
    lists.open()
    held = [InForce(default_policy(CATALOGUE))]

    def swap(change):
        held[0] = change(held[0])

    follower = ReleaseFollower(
        ControlTopic(bootstrap, {}, topics.control), keeper, lists, swap, print
    )
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds):
    async with asyncio.timeout(WITHIN_S):
        while not holds():
            await asyncio.sleep(0.02)


def release_of(follower):
    current = follower.keeper.current
    return 0 if current is None else current.release.release


def listed(follower, *tokens):
    held = follower.lists.current.lists["stolen"]
    return {token_hash(each) for each in tokens if held.get(each, 0)}


async def test_the_first_release_after_a_restore_reaches_replicas_that_ran_newer_ones(
    kafka_bootstrap, topics, tmp_path
):
    plane = Plane(tmp_path / "control.db", Topic(), tmp_path)
    plane.release(1)
    plane.put("stolen", "kept")
    async with following(kafka_bootstrap, topics, tmp_path / "replica") as replica:
        async with relaying(plane, kafka_bootstrap, topics):
            pass
        plane.back_up()
        for n in (2, 3, 4):
            plane.release(n)
            plane.put("stolen", f"after {n}")
        async with relaying(plane, kafka_bootstrap, topics):
            pass
        await until(lambda: release_of(replica) == 4)
        plane.restore(plane.backups[0])
        plane.put("stolen", "new")
        async with relaying(plane, kafka_bootstrap, topics):
            pass
        await until(lambda: listed(replica, "new"))
        assert release_of(replica) == 4
        assert plane.entries()["stolen"] == listed(
            replica, "kept", "new", "after 2", "after 3", "after 4"
        )
        assert len(plane.audit("control.restored")) == 1
        assert standing_of(report(4), Newest(1), Ages(running_ms=60_000)) is (
            Standing.AHEAD
        )
        assert ControlBench(plane.database).desk.republish(WHY).release.release == 5
        async with relaying(plane, kafka_bootstrap, topics):
            pass
        await until(lambda: release_of(replica) == 5)
        assert replica.keeper.current.policy.version == plane.in_force().version
    async with following(kafka_bootstrap, topics, tmp_path / "a new one") as replica:
        await until(lambda: release_of(replica) == 5)
        assert plane.entries()["stolen"] == listed(replica, "kept", "new", "after 2")
    plane.database.close()


def report(release):
    return ReplicaReport(
        replica="a",
        door="grpc",
        process=1,
        started_at_ms=0,
        at_ms=0,
        policy="p",
        release=release,
    )
