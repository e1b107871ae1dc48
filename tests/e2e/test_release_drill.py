"""Releases under load, from the second person's approval to the last replica.

`scoring control` with two people, both doors with two workers each, Apache Kafka. No
call fails; each decision is by one policy alone, that of its rules and of its version,
and by none older than what all replicas ran when the payment was sent. A restart
without Kafka decides by the last one. SCORING_DRILL_RELEASES and SCORING_DRILL_RATE,
checks a second, scale it.
"""

from __future__ import annotations

import asyncio
import os
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

import grpc
import pytest
from aiokafka import AIOKafkaConsumer
from control_served import control_serving
from grpc_parts import SERVICE, payment, request
from release_parts import Control
from served import serving
from stream_parts import Input, Worker, create_topics, send

from load_tests.light_channel import LightChannel
from load_tests.open_loop import percentile
from scoring.core.policy.shipped_policy import shipped_text
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Decision
from scoring.wire.control_json import report_from_json

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.drill,
    pytest.mark.timeout(1_800),  # of the long form
]
RELEASES = int(os.environ.get("SCORING_DRILL_RELEASES", "3"))
RATE = int(os.environ.get("SCORING_DRILL_RATE", "100"))  # by calls; RECORDS beside
RECORDS = 100  # a second, by the topic
BURSTS = 50  # of calls, a second
CHANNELS = 8
REPLICAS = 4
WITHIN_S = 90  # the machine of the tests is shared
TELLING = "tells_of_release_"


def policy_text(number: int) -> str:
    """The shipped policy, with a rule that says in each decision whose it is."""
    rule = (
        f"\nrules:\n  - {{id: {TELLING}{number}, when: 'transaction.amount_minor >= 1',"
        " then: review, mode: shadow, reason_code: CARD_VELOCITY_LIMIT}\n"
    )
    return shipped_text().replace("\nrules:\n", rule, 1)


@dataclass
class People:
    """An author and an approver at the control plane's API, each with a token."""

    control: object
    versions: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.ann, self.bob = (
            self.ask("/v1/people", {"name": name, "roles": [role]}, "")["token"]
            for name, role in (("ann", "author"), ("bob", "approver"))
        )

    def ask(self, path, body, token):
        said = self.control.ask("POST", path, body, token=token)
        assert said.status in {200, 201}, (said.status, said.body)
        return said.json

    def proposed(self):
        """The next policy, proposed by the one; the path of its approval."""
        text = policy_text(len(self.versions) + 1)
        policy = self.ask("/v1/policies", {"text": text}, self.ann)["policy"]
        self.versions.append(policy["version"])
        path = f"/v1/policies/{policy['number']}/proposals"
        number = self.ask(path, {}, self.ann)["proposal"]["number"]
        return f"/v1/proposals/{number}/approval"

    def approve(self, path):
        """Approved by the other, to be released at once; the release's number."""
        body = {"version": self.versions[-1], "why": "a drill", "at_once": True}
        return self.ask(path, body, self.bob)["release"]


class Reports:
    """When each replica first told of each release."""

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
                await asyncio.sleep(0.005)


@dataclass
class Load:
    """Payments through both doors: when each was sent, and what a call was answered."""

    sent: dict[str, float] = field(default_factory=dict)
    answered: dict[str, Decision] = field(default_factory=dict)
    failed: Counter = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, address):
        """Checks at a steady rate, over connections to whichever worker takes them."""
        channels = [LightChannel(address) for _ in range(CHANNELS)]
        asked, begun, count = set(), time.monotonic(), 0
        while not self.over.is_set():
            while count < (time.monotonic() - begun) * RATE:
                task = asyncio.create_task(self._one(channels[count % CHANNELS]))
                asked.add(task)
                task.add_done_callback(asked.discard)
                count += 1
            await asyncio.sleep(1 / BURSTS)
        await asyncio.gather(*asked)
        for channel in channels:
            channel.close()
        return count / (time.monotonic() - begun)

    async def _one(self, channel):
        paid = payment()
        self.sent[paid.id] = began = time.monotonic()
        path, raw = SERVICE + "CheckTransaction", request(paid).SerializeToString()
        status, reply = await channel.unary(path, raw, 30)
        if status == "OK":
            decided = calls.CheckTransactionResponse.FromString(reply).decision
            self.answered[paid.id] = decided
            self.latencies_ms.append((time.monotonic() - began) * 1e3)
        else:
            self.failed[status] += 1

    async def feed(self, bootstrap, topic):
        """Records at a steady rate."""
        while not self.over.is_set():
            some = [payment() for _ in range(RECORDS)]
            self.sent |= dict.fromkeys((paid.id for paid in some), time.monotonic())
            await send(
                bootstrap, topic, [Input.of(each) for each in some], rate=RECORDS
            )


async def decided(bootstrap, topic, ids):
    """The decisions of these payments on the topic, and of some twice."""
    found, missing = [], set(ids)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    silent_at = time.monotonic()
    while missing and time.monotonic() < silent_at + WITHIN_S:
        polled = await consumer.getmany(timeout_ms=1_000)
        some = [Decision.FromString(r.value) for rs in polled.values() for r in rs]
        if some:
            silent_at = time.monotonic()
        missing -= {each.core.transaction_id for each in some}
        found += some
    await consumer.stop()
    assert not missing, f"{len(missing)} of {len(ids)} have no decision"
    return found


@dataclass
class Drilled:
    """What a drill saw: `ran_at[n]` is when the last replica ran release n + 1."""

    load: Load
    versions: list[str]
    ran_at: list[float]
    took_s: list[float]
    newest: dict
    calls_per_s: float

    def judge(self, decision):
        """One policy decided it, none older than what ran when it was sent."""
        core = decision.core
        number = self.versions.index(core.versions.policy) + 1
        told = [h.rule for h in core.rule_hits if h.rule.startswith(TELLING)]
        assert told == [f"{TELLING}{number}"], "of two policies"
        sent_at = self.load.sent[core.transaction_id]
        assert number >= bisect_left(self.ran_at, sent_at), "by one that was replaced"

    def told(self):
        """The figures, for who runs it."""
        load, took = self.load, sorted(self.took_s)
        return (
            f"{len(took)} releases under {self.calls_per_s:.0f} calls/s and {RECORDS} "
            f"records/s: approval to the last of {REPLICAS} replicas median "
            f"{percentile(took, 50):.3f} s, p99 {percentile(took, 99):.3f} s, worst "
            f"{took[-1]:.3f} s; {len(load.answered)} calls answered, "
            f"{sum(load.failed.values())} failed, latency p50 "
            f"{percentile(load.latencies_ms, 50):.1f} ms, p99 "
            f"{percentile(load.latencies_ms, 99):.1f} ms, load {os.getloadavg()[0]:.1f}"
        )


async def drilled(address, bootstrap, prefix, people):
    """Release one policy after the other while both doors decide."""
    reports, load = Reports(bootstrap, f"{prefix}control.replicas"), Load()
    following = asyncio.create_task(reports.follow())
    ran_at, took_s = [await reports.all_run(1)], []
    calling = asyncio.create_task(load.call(address))
    feeding = asyncio.create_task(load.feed(bootstrap, f"{prefix}transactions"))
    for _ in range(RELEASES):
        await asyncio.sleep(1)
        path = await asyncio.to_thread(people.proposed)
        began = time.monotonic()
        release = await asyncio.to_thread(people.approve, path)
        ran_at.append(await reports.all_run(release))
        took_s.append(ran_at[-1] - began)
    load.over.set()
    per_s = await calling
    await feeding
    following.cancel()
    return Drilled(load, people.versions, ran_at, took_s, reports.newest, per_s)


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
async def topics(settings):
    bootstrap, prefix = settings["kafka_bootstrap"], settings["topic_prefix"]
    await create_topics(bootstrap, prefix)
    await create_topics(bootstrap, prefix, names=["control.replicas"], partitions=1)
    await Control(bootstrap, f"{prefix}control").create()
    return bootstrap, prefix


@pytest.fixture
def people(topics, tmp_path):
    """Two people, and a first release of theirs."""
    (tmp_path / "control").mkdir()
    bootstrap, prefix = topics
    with control_serving(
        tmp_path / "control", kafka_bootstrap=bootstrap, topic_prefix=prefix
    ) as control:
        two = People(control)
        two.approve(two.proposed())
        yield two


@pytest.fixture
async def address(people, settings, tmp_path):  # noqa: ARG001 - released to them first
    """Two workers of each door; where checks are sent."""
    env = {f"SCORING_{key.upper()}": str(value) for key, value in settings.items()}
    worker = Worker(env, tmp_path / "worker.log", ("--workers", "2")).start()
    try:
        with serving("--workers", "2", **settings) as served:
            await worker.ready()
            yield served.address
    finally:
        worker.stop()


async def test_an_approval_reaches_every_replica_and_fails_no_call(
    address, people, topics, settings
):
    bootstrap, prefix = topics
    drill = await drilled(address, bootstrap, prefix, people)
    print(drill.told())
    assert not drill.load.failed
    on_topic = await decided(bootstrap, f"{prefix}decisions", drill.load.sent)
    assert {report.refused for report in drill.newest.values()} == {""}
    assert len(drill.newest) == REPLICAS
    answered = drill.load.answered
    assert len({each.core.versions.policy for each in answered.values()}) > 1
    cores = {}
    for decision in (*answered.values(), *on_topic):
        drill.judge(decision)
        core = decision.core
        assert cores.setdefault(core.transaction_id, core) == core, "decided twice"
    # A process that starts without Kafka begins with the last release.
    gone = {**settings, "kafka_bootstrap": "127.0.0.1:1"}
    with serving(**gone) as again:
        async with grpc.aio.insecure_channel(again.address) as channel:
            stub = stubs.FraudScoringStub(channel)
            reply = await stub.CheckTransaction(request(payment()), timeout=30)
    assert reply.decision.core.versions.policy == people.versions[-1]
