"""Clients that ping while they are idle, compress, or send what inflates endlessly."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_parts import fresh_id, open_door, payment, request, status_of

from scoring.client.channel import channel_arguments
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

# The most eager that the door allows; gateways ping every 10 s and more seldom.
PING_S = 5.2
PINGS = [
    ("grpc.keepalive_time_ms", int(PING_S * 1_000)),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
# gRPC forgives two pings too many, and says GOAWAY at the third.
IDLE_S = 4.5 * PING_S


@pytest.fixture
async def door(model_dir):
    async with open_door(model_dir, grpc_health_address="127.0.0.1:0") as door:
        yield door


async def stays_connected(channel):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(IDLE_S):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)


async def test_a_client_that_pings_through_an_idle_hour_keeps_its_connection(door):
    async with (
        grpc.aio.insecure_channel(door.server.address, PINGS) as channel,
        grpc.aio.insecure_channel(door.server.health_address, PINGS) as probes,
    ):
        stub = stubs.FraudScoringStub(channel)
        await stub.CheckTransaction(request(payment()), timeout=5)
        await health_pb2_grpc.HealthStub(probes).Check(HealthCheckRequest(), timeout=5)
        await asyncio.gather(stays_connected(channel), stays_connected(probes))
        await stub.CheckTransaction(request(payment()), timeout=5)


def test_our_own_client_pings_through_idle_hours():
    arguments = dict(channel_arguments())
    assert arguments["grpc.keepalive_permit_without_calls"] == 1
    assert arguments["grpc.http2.max_pings_without_data"] == 0


@pytest.mark.parametrize("how", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_compressed_request_is_answered(door, how):
    one = payment(fresh_id())
    async with grpc.aio.insecure_channel(
        door.server.address, compression=how
    ) as channel:
        reply = await stubs.FraudScoringStub(channel).CheckTransaction(
            request(one), timeout=5
        )
    assert reply.decision.core.transaction_id == one.id


@pytest.mark.parametrize("megabytes", [2, 64])
async def test_a_request_that_inflates_beyond_the_limit_is_refused_and_nothing_ends(
    door, megabytes
):
    bomb = request(payment(attributes={"k": "a" * (megabytes << 20)}))
    async with grpc.aio.insecure_channel(
        door.server.address,
        [("grpc.max_send_message_length", -1)],
        compression=grpc.Compression.Gzip,
    ) as channel:
        stub = stubs.FraudScoringStub(channel)
        code, _, _ = await status_of(stub.CheckTransaction(bomb, timeout=20))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await door.check(payment())).core.reasons
