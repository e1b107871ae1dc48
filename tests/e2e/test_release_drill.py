"""Releases under load: both doors, two workers each, on Apache Kafka.

No call fails, every decision names one version that was released, and a restart without
Kafka decides by the last one. `SCORING_DRILL_RELEASES` scales it.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections import Counter
from uuid import uuid4

import grpc
import pytest
from aiokafka import AIOKafkaConsumer
from grpc_parts import payment, request
from release_parts import Control, policy_text
from served import serving
from stream_parts import Input, Worker, create_topics, send

from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Decision
from scoring.wire.control_json import report_from_json

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.drill]
RELEASES = int(os.environ.get("SCORING_DRILL_RELEASES", "3"))
REPLICAS = 4
RATE = 100  # checks a second, and as many records
WITHIN_S = 90  # the machine of the tests is shared
BEGUN = 1  # the first release; those under load follow


class Reports:
    """The newest report of each replica, and when it first told of each release."""

    def __init__(self, bootstrap, topic):
        self.consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
        )
        self.newest, self.since = {}, {}

    async def follow(self):
        await self.consumer.start()
        try:
            async for record in self.consumer:
                told = report_from_json(record.value)
                self.newest[told.replica] = told
                place = (told.release, told.replica)
                self.since.setdefault(place, time.monotonic())
        finally:
            await self.consumer.stop()

    async def all_run(self, release):
        """When the last replica told that it runs a release."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                ran = [
                    at for (number, _), at in self.since.items() if number == release
                ]
                if len(ran) == REPLICAS:
                    return max(ran)
                await asyncio.sleep(0.02)


async def calls(address, over, seen):
    """Checks at a steady rate; the policy version of each answer, or its failure."""

    async def one(stub):
        try:
            reply = await stub.CheckTransaction(request(payment()), timeout=30)
            seen[reply.decision.core.versions.policy] += 1
        except grpc.aio.AioRpcError as error:
            seen[f"failed: {error.code().name}"] += 1

    async with grpc.aio.insecure_channel(address) as channel:
        stub, asked = stubs.FraudScoringStub(channel), []
        while not over.is_set():
            asked.append(asyncio.create_task(one(stub)))
            await asyncio.sleep(1 / RATE)
        await asyncio.gather(*asked)


async def records(bootstrap, prefix, over):
    """Transactions on their topic at a steady rate; how many."""
    sent = 0
    while not over.is_set():
        some = [Input.of(payment()) for _ in range(RATE)]
        await send(bootstrap, f"{prefix}transactions", some, rate=RATE)
        sent += len(some)
    return sent


async def decided(bootstrap, prefix, count):
    """The policy versions of so many decisions on the topic."""
    versions = Counter()
    consumer = AIOKafkaConsumer(
        f"{prefix}decisions", bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    async with asyncio.timeout(WITHIN_S):
        while sum(versions.values()) < count:
            async for record in consumer:
                decision = Decision.FromString(record.value)
                versions[decision.core.versions.policy] += 1
                if sum(versions.values()) >= count:
                    break
    await consumer.stop()
    return versions


async def drilled(address, bootstrap, prefix, control):
    reports, over, seen = (
        Reports(bootstrap, f"{prefix}control.replicas"),
        asyncio.Event(),
        Counter(),
    )
    following = asyncio.create_task(reports.follow())
    await reports.all_run(BEGUN)
    calling = asyncio.create_task(calls(address, over, seen))
    feeding = asyncio.create_task(records(bootstrap, prefix, over))
    took_s = []
    for number in range(BEGUN + 1, BEGUN + 1 + RELEASES):
        await asyncio.sleep(1)
        began = time.monotonic()
        await control.publish(number)
        took_s.append(await reports.all_run(number) - began)
    over.set()
    await calling
    sent = await feeding
    following.cancel()
    return seen, sent, took_s, reports.newest


@pytest.fixture
def settings(kafka_bootstrap, store_url, model_dir, tmp_path):
    name = f"t{uuid4().hex[:12]}"
    return {
        "redis_url": store_url,
        "namespace": name,
        "model_dir": model_dir,
        "state_dir": tmp_path / "state",
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
        "kafka_bootstrap": kafka_bootstrap,
        "topic_prefix": f"{name}.",
        "policy_from": "control",
    }


@pytest.fixture
async def control(settings):
    """The topics, with a first release."""
    bootstrap, prefix = settings["kafka_bootstrap"], settings["topic_prefix"]
    control = Control(bootstrap, f"{prefix}control")
    await create_topics(bootstrap, prefix)
    await create_topics(bootstrap, prefix, names=["control.replicas"], partitions=1)
    await control.create()
    await control.publish(BEGUN)
    return control


@pytest.fixture
async def address(control, settings, tmp_path):  # noqa: ARG001 - its topics come first
    """Two workers of each door; where checks are sent."""
    env = {f"SCORING_{key.upper()}": str(value) for key, value in settings.items()}
    worker = Worker(env, tmp_path / "worker.log", ("--workers", "2")).start()
    try:
        with serving("--workers", "2", **settings) as served:
            await worker.ready()
            yield served.address
    finally:
        worker.stop()


async def test_releases_under_load_reach_every_replica_and_fail_no_call(
    address, control, settings
):
    bootstrap, prefix = settings["kafka_bootstrap"], settings["topic_prefix"]
    seen, sent, took_s, newest = await drilled(address, bootstrap, prefix, control)
    by_topic = await decided(bootstrap, prefix, sent + sum(seen.values()))
    numbers = range(BEGUN, BEGUN + 1 + RELEASES)
    released = {policy_text(number).version for number in numbers}
    print(f"last of {REPLICAS} replicas after s: {sorted(took_s)}; calls {seen}")
    print(f"median {statistics.median(took_s):.2f} s; by topic {by_topic}")
    assert set(seen) <= released
    assert set(by_topic) <= released
    assert len(seen) > 1
    assert {report.refused for report in newest.values()} == {""}
    assert len(newest) == REPLICAS
    # A process that starts without Kafka begins with the last release.
    gone = {**settings, "kafka_bootstrap": "127.0.0.1:1"}
    with serving(**gone) as again:
        async with grpc.aio.insecure_channel(again.address) as channel:
            stub = stubs.FraudScoringStub(channel)
            reply = await stub.CheckTransaction(request(payment()), timeout=30)
    assert reply.decision.core.versions.policy == policy_text(numbers[-1]).version
