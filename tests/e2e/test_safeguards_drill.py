"""The breaker and the let-through sample on a real store that is killed at work.

Through both doors at once: a policy of usual declines goes through a kill of the store
untouched and no payment is lost; then one slip of the keyboard is stopped in both. The
sample's budget is kept through kill after kill; SCORING_DRILL_STORE_KILLS scales it.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from grpc_parts import SERVICE, payment, request
from served import serving
from small_policy import SMALL
from stream_parts import Input

from load_tests.light_channel import LightChannel
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.decision_pb2 import Decision, Outcome

pytestmark = [
    pytest.mark.slow,
    pytest.mark.drill,
    pytest.mark.timeout(600),  # of the long form
    pytest.mark.parametrize("broker", ["embedded"], indirect=True, scope="module"),
]
STORE_KILLS = int(os.environ.get("SCORING_DRILL_STORE_KILLS", "1"))
STOPPED_S_MAX, STOPPED_PAYMENTS_MAX = 10.0, 200
WITHIN_S = 60.0
AT_ONCE, EVERY_S = 10, 0.2  # payments of each door: every tenth is large
SMALL_MINOR, LARGE_MINOR = 500, 1_000
POLICY = (
    SMALL
    + """
breaker: {declines_min: 10, expected: 0.1}
rules:
  - id: large
    when: transaction.amount_minor > %d
    then: decline
    reason_code: TOO_LARGE
    breaker: {expected: 0.1}
"""
)
BUDGET_MINOR = 40 * SMALL_MINOR
SAMPLED = (
    SMALL
    + """  LET_THROUGH: The payment was let through to learn from it.
breaker: {off: true}
let_through: {share: 0.5, amount_minor_max: 500, budget_minor_per_day: %d}
rules:
  - id: all
    when: transaction.amount_minor > 10
    then: decline
    reason_code: TOO_LARGE
"""
)


class Doors:
    """Payments through both doors; decisions by id, of each door its own."""

    def __init__(self, stream, address):
        self.stream, self.channel = stream, LightChannel(address)
        self.sent = {"grpc": [], "stream": []}
        self.decided = {"grpc": {}, "stream": {}}
        self.failed = []

    async def follow(self):
        """Read what the stream door decided, until cancelled."""
        consumer = AIOKafkaConsumer(
            f"{self.stream.prefix}decisions",
            bootstrap_servers=self.stream.broker.bootstrap,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
        )
        await consumer.start()
        try:
            async for record in consumer:
                decision = Decision.FromString(record.value)
                self.decided["stream"][decision.core.transaction_id] = decision.core
        finally:
            await consumer.stop()

    async def pay(self):
        """Some payments through each door, the calls answered."""
        some = [
            payment(amount_minor=SMALL_MINOR if n else LARGE_MINOR)
            for _ in range(2)
            for n in range(AT_ONCE)
        ]
        called, fed = some[:AT_ONCE], some[AT_ONCE:]
        self.sent["stream"] += [paid.id for paid in fed]
        feeding = self.stream.send([Input.of(paid) for paid in fed])
        await asyncio.gather(feeding, *map(self._call, called))

    async def _call(self, paid):
        self.sent["grpc"].append(paid.id)
        path, raw = f"{SERVICE}CheckTransaction", request(paid).SerializeToString()
        status, reply = await self.channel.unary(path, raw, 30)
        if status == "OK":
            decision = calls.CheckTransactionResponse.FromString(reply).decision
            self.decided["grpc"][paid.id] = decision.core
        else:
            self.failed.append(status)

    async def pay_for(self, seconds):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await asyncio.gather(self.pay(), asyncio.sleep(EVERY_S))

    async def all_decided(self):
        """Wait until every payment that was sent has a decision."""
        async with asyncio.timeout(WITHIN_S):
            while any(set(self.sent[d]) - set(self.decided[d]) for d in self.sent):
                await asyncio.sleep(0.1)

    def cores(self, door):
        """The decisions of a door's payments, in the order in which they were sent."""
        decided = self.decided[door]
        return [decided[i] for i in self.sent[door] if i in decided]


@asynccontextmanager
async def at_both_doors(stream, own_store, model_dir, file, tmp_path):
    """A server and a worker over one store and one policy file."""
    own = {"SCORING_POLICY_FILE": str(file), "SCORING_NAMESPACE": "drill"}
    worker = stream.worker(**own)
    settings = {
        "redis_url": own_store.url,
        "namespace": "drill",
        "model_dir": model_dir,
        "policy_file": file,
        "state_dir": tmp_path / "serve",
        "budget_ms": 2_000,
        "store_budget_ms": 1_000,
    }
    with serving(**settings) as served:
        await worker.ready()
        doors = Doors(stream, served.address)
        following = asyncio.create_task(doors.follow())
        try:
            yield doors, served, worker
        finally:
            following.cancel()
            doors.channel.close()


def killed(store):
    store.stop(kill=True)
    time.sleep(0.5)
    store.start()


async def stopped(doors):
    """How long each door declined everything by another policy, and how many times."""
    usual = {core.versions.policy for core in doors.decided["grpc"].values()}
    began, took = time.monotonic(), {}
    while took.keys() < doors.sent.keys():
        assert time.monotonic() < began + WITHIN_S, "it was never stopped"
        await asyncio.gather(doors.pay(), asyncio.sleep(EVERY_S))
        for door in doors.sent.keys() - took.keys():
            outcomes = [
                core.outcome
                for core in doors.cores(door)
                if core.versions.policy not in usual
            ]
            declined = outcomes.count(Outcome.OUTCOME_DECLINE)
            if declined and Outcome.OUTCOME_DECLINE not in outcomes[-AT_ONCE:]:
                took[door] = (time.monotonic() - began, declined)
    return took


async def test_a_kill_of_the_store_trips_nothing_and_a_slip_is_stopped_in_both_doors(
    stream, own_store, model_dir, tmp_path
):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY % 900)
    parts = (stream, own_store, model_dir, file, tmp_path)
    async with at_both_doors(*parts) as (doors, served, worker):
        await doors.pay_for(2)
        for _ in range(STORE_KILLS):
            await asyncio.gather(doors.pay_for(3), asyncio.to_thread(killed, own_store))
        await doors.pay_for(2)
        await doors.all_decided()
        assert doors.failed == []
        said = "\n".join([*served.errors, worker.output.read_text()])
        assert "the breaker holds back" not in said
        for door in doors.sent:
            large = doors.cores(door)[0::AT_ONCE]
            judged = [core for core in large if not core.provisional]
            assert {core.outcome for core in judged} == {Outcome.OUTCOME_DECLINE}
        file.write_text(POLICY % 9)
        took = await stopped(doors)
        await doors.all_decided()
    print(f"stopped after (s, declines): {took}")
    for took_s, declined in took.values():
        assert took_s <= STOPPED_S_MAX or declined <= STOPPED_PAYMENTS_MAX


async def test_kills_of_the_store_let_no_more_through_than_the_budget(
    stream, own_store, model_dir, tmp_path
):
    file = tmp_path / "policy.yaml"
    file.write_text(SAMPLED % BUDGET_MINOR)
    parts = (stream, own_store, model_dir, file, tmp_path)
    async with at_both_doors(*parts) as (doors, _, _):
        for _ in range(STORE_KILLS):
            await asyncio.gather(doors.pay_for(2), asyncio.to_thread(killed, own_store))
        await doors.pay_for(2)
        await doors.all_decided()
        assert doors.failed == []
    cores = [core for door in doors.sent for core in doors.cores(door)]
    through = [core for core in cores if core.HasField("let_through")]
    print(f"{len(through)} of {len(cores)} let through, of {BUDGET_MINOR} minor units")
    assert {core.outcome for core in through} == {Outcome.OUTCOME_APPROVE}
    assert 0 < len(through) * SMALL_MINOR <= BUDGET_MINOR
