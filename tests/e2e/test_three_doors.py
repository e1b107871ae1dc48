"""The same payments through HTTP, gRPC and Kafka, each alone: equal decisions."""

import asyncio
import os
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf import json_format
from grpc_parts import fresh_id, now_ms, payment, request
from http_parts import HttpDoor
from served import serving
from stream_parts import Input, Worker, count, create_topics, send

from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Decision

PAYLOADS = int(os.environ.get("SCORING_DRILL_PAYLOADS", "200"))
CARDS = 20  # each with its own merchant, so that only its own order matters
HOUR_MS = 3_600_000


def payloads():
    """Each card's payments, in the order in which they are to be sent."""
    began = now_ms() - HOUR_MS - 1_000 * PAYLOADS
    return [
        [
            payment(
                fresh_id(),
                card=f"card-{card}",
                merchant=f"merchant-{card}",
                customer=f"customer-{card % 7}-{card}",
                amount_minor=100 + 37 * i,
                at_ms=began + 1_000 * i,
                attributes={"basket": f"n {i}"},
            )
            for i in range(card, PAYLOADS, CARDS)
        ]
        for card in range(CARDS)
    ]


async def each_card(chains, check):
    """Cores by id: cards side by side, the payments of each in order."""
    cores = {}

    async def chain(sent):
        for one in sent:
            decision = await check(one)
            cores[one.id] = decision.core.SerializeToString(deterministic=True)

    await asyncio.gather(*map(chain, chains))
    return cores


async def through_http(chains, settings):
    with serving(http_address="127.0.0.1:0", **settings) as served:
        door = HttpDoor(None, SimpleNamespace(address=served.http_address))

        async def check(one):
            reply = await door.check(one, x_timeout_ms="30000")
            assert reply.status == 200, reply
            message = calls.CheckTransactionResponse()
            json_format.Parse(reply.body, message)
            return message.decision

        return await each_card(chains, check)


async def through_grpc(chains, settings):
    with serving(**settings) as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            stub = stubs.FraudScoringStub(channel)

            async def check(one):
                reply = await stub.CheckTransaction(request(one), timeout=30)
                return reply.decision

            return await each_card(chains, check)


async def through_kafka(chains, settings, broker, prefix, log_file):
    await create_topics(broker.bootstrap, prefix)
    settings |= {
        "kafka_bootstrap": broker.bootstrap,
        "topic_prefix": prefix,
        "fetch_wait_ms": broker.fetch_wait_ms,
        "session_timeout_s": broker.session_timeout_s,
    }
    env = {f"SCORING_{name.upper()}": str(value) for name, value in settings.items()}
    worker = Worker(env, log_file).start()
    try:
        await worker.ready()
        sent = [Input.of(one) for chain in chains for one in chain]
        await send(broker.bootstrap, f"{prefix}transactions", sent)
        async with asyncio.timeout(120 + PAYLOADS / 20):
            counted = await count(broker.bootstrap, prefix, until=PAYLOADS)
    finally:
        worker.stop()
    return {
        id_: Decision.FromString(raw[0]).core.SerializeToString(deterministic=True)
        for id_, raw in counted.raw.items()
    }


@pytest.fixture
def settings_of(store_url, store_namespace, model_dir, tmp_path):
    """A door's settings, in a namespace of its own."""

    def settings(door):
        return {
            "redis_url": store_url,
            "namespace": f"{store_namespace}-{door}",
            "model_dir": model_dir,
            "state_dir": tmp_path / door,
            "budget_ms": 20_000,
            "store_budget_ms": 10_000,
        }

    return settings


@pytest.mark.timeout(1_200)
async def test_every_door_decides_the_same(broker, topic_prefix, settings_of, tmp_path):
    chains = payloads()
    by_http = await through_http(chains, settings_of("http"))
    by_grpc = await through_grpc(chains, settings_of("grpc"))
    log_file = tmp_path / "worker.log"
    by_kafka = await through_kafka(
        chains, settings_of("kafka"), broker, topic_prefix, log_file
    )
    assert len(by_http) == PAYLOADS
    assert by_http == by_grpc == by_kafka
