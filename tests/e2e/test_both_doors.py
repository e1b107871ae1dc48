"""One transaction, one decision: through either door, and through both at once."""

import asyncio
import json
import os
from collections import Counter
from dataclasses import dataclass
from uuid import uuid4

import grpc
import pytest
from grpc_parts import DAY_MS, at, fresh_id, label, now_ms, payment, request
from served import serving
from stream_parts import Input, Worker, count, create_topics, ends, send

from scoring.core.features.catalogue import default_catalogue
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Decision, Door

PAIRS = int(os.environ.get("SCORING_DRILL_PAIRS", "200"))
PAIRS_PER_CARD = 100
RACES_IN_FLIGHT = 16
STREAK = default_catalogue().names.index("terminal_fraud_streak")


@pytest.fixture(scope="module")
def processes(broker, store_url, model_dir, tmp_path_factory):
    """A server, a stream worker, one store, one broker: for all that a broker is asked.

    Yields the server's address and the prefix of the topics.
    """
    directory = tmp_path_factory.mktemp("both-doors")
    name = f"t{uuid4().hex[:12]}"
    settings = {
        "redis_url": store_url,
        "namespace": name,
        "model_dir": model_dir,
        "state_dir": directory,
        # The machine of the tests is shared: these are no drills of time.
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
        "kafka_bootstrap": broker.bootstrap,
        "topic_prefix": f"{name}.",
        "fetch_wait_ms": broker.fetch_wait_ms,
        "session_timeout_s": broker.session_timeout_s,
    }
    env = {f"SCORING_{name.upper()}": str(value) for name, value in settings.items()}
    asyncio.run(create_topics(broker.bootstrap, settings["topic_prefix"]))
    worker = Worker(env, directory / "worker.log").start()
    try:
        with serving(**settings) as served:
            asyncio.run(worker.ready())
            yield served.address, settings["topic_prefix"]
    finally:
        worker.stop()


@pytest.fixture
async def doors(broker, processes):
    """Both doors, and what comes out of them from now on."""
    address, prefix = processes
    since = await ends(broker.bootstrap, prefix)
    async with grpc.aio.insecure_channel(address) as channel:
        yield Doors(stubs.FraudScoringStub(channel), broker.bootstrap, prefix, since)


@dataclass
class Doors:
    stub: stubs.FraudScoringStub
    bootstrap: str
    prefix: str
    since: dict

    async def check(self, transaction, **fields):
        asked = request(transaction, **fields)
        reply = await self.stub.CheckTransaction(asked, timeout=30)
        return reply.decision

    async def feed(self, *transactions):
        inputs = [Input.of(one) for one in transactions]
        await send(self.bootstrap, f"{self.prefix}transactions", inputs)

    async def report(self, told, *, by_topic):
        if by_topic:
            inputs = [Input(told.SerializeToString())]
            await send(self.bootstrap, f"{self.prefix}labels", inputs)
            return
        reply = await self.stub.ReportLabels(
            calls.ReportLabelsRequest(labels=[told]), timeout=30
        )
        assert not reply.results[0].HasField("error")

    async def streak(self, terminal):
        looked = await self.check(payment(terminal=terminal), dry_run=True)
        return looked.core.features[STREAK]

    async def count(self, until):
        async with asyncio.timeout(120 + until / 20):
            return await count(
                self.bootstrap, self.prefix, until=until, since=self.since
            )


def core_of(decision):
    return decision.core.SerializeToString(deterministic=True)


async def test_a_decision_of_the_server_reaches_the_topic_with_its_transaction(doors):
    one = payment(tenant="default")
    replied = await doors.check(one)
    counted = await doors.count(1)
    logged = Decision.FromString(counted.raw[one.id][0])
    assert core_of(logged) == core_of(replied)
    assert logged.transaction == one
    assert logged.HasField("received_at")
    assert counted.duplicated == 0


async def test_what_the_stream_decided_is_what_the_server_returns(doors):
    one = payment()
    await doors.feed(one)
    counted = await doors.count(1)
    replied = await doors.check(one)
    logged = Decision.FromString(counted.raw[one.id][0])
    assert replied.core == logged.core
    assert replied.trace == logged.trace


async def test_either_door_names_features_and_events_alike(embedded_doors):
    bootstrap, prefix = embedded_doors.parts.bootstrap, embedded_doors.topics.prefix
    since = await ends(bootstrap, prefix)
    through_grpc, through_kafka = payment(), payment()
    async with grpc.aio.insecure_channel(embedded_doors.serve.address) as channel:
        doors = Doors(stubs.FraudScoringStub(channel), bootstrap, prefix, since)
        await doors.check(through_grpc)
        await doors.feed(through_kafka)
        counted = await doors.count(2)
    for one in (through_grpc, through_kafka):
        (said,) = map(json.loads, counted.raw[one.id])
        assert list(said["features"]) == list(default_catalogue().names)
    ids = (through_grpc.id, through_kafka.id)
    assert set(counted.events) == {f"default:{id_}" for id_ in ids}


async def test_another_payload_is_a_conflict_behind_either_door(doors):
    through_grpc, through_kafka = payment(), payment()
    await doors.check(through_grpc)
    await doors.feed(through_kafka)
    await doors.count(2)
    changed = payment(through_kafka.id, amount_minor=1)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await doors.check(changed)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    await doors.feed(payment(through_grpc.id, amount_minor=1))
    counted = await doors.count(3)
    assert dict(counted.reasons) == {"CONFLICT": 1}
    assert counted.conflicting == 0


async def test_a_label_by_id_alone_finds_the_payment_whichever_door_decided_it(doors):
    old = {"at_ms": now_ms() - 10 * DAY_MS}
    through_grpc = payment(terminal="bad-1", **old)
    through_kafka = payment(terminal="bad-2", **old)
    await doors.check(through_grpc)
    await doors.feed(through_kafka)
    await doors.count(2)
    known_at = at(now_ms() - 9 * DAY_MS)
    for one, by_topic in ((through_grpc, True), (through_kafka, False)):
        await doors.report(label(one.id, known_at=known_at), by_topic=by_topic)
    for terminal in ("bad-1", "bad-2"):
        async with asyncio.timeout(60):
            while await doors.streak(terminal) != 1:
                await asyncio.sleep(0.2)


async def test_the_same_payments_through_both_doors_at_once_are_decided_once(doors):
    cards = [f"card-race-{i // PAIRS_PER_CARD}" for i in range(PAIRS)]
    pairs = [payment(fresh_id(), card=card) for card in cards]
    slots = asyncio.Semaphore(RACES_IN_FLIGHT)

    async def race(one):
        async with slots:
            return await doors.check(one)

    _, *replies = await asyncio.gather(doors.feed(*pairs), *map(race, pairs))
    counted = await doors.count(PAIRS)
    assert counted.lost([one.id for one in pairs]) == set()
    assert counted.conflicting == 0
    assert not counted.letters
    for one, replied in zip(pairs, replies, strict=True):
        assert set(counted.decisions[one.id]) == {core_of(replied)}
        logged = Decision.FromString(counted.raw[one.id][0])
        assert logged.trace == replied.trace
    print("won by", dict(Counter(Door.Name(each.trace.door) for each in replies)))
    # A look that changes nothing sees itself and each pair once.
    counted_at = default_catalogue().names.index("card_count_1d")
    for card in dict.fromkeys(cards):
        looked = await doors.check(payment(card=card), dry_run=True)
        assert looked.core.features[counted_at] == cards.count(card) + 1
