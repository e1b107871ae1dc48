"""Connections of the HTTP door: bounded, kept, drained, and given up when left."""

import asyncio
import json
import time

import pytest
from grpc_parts import payment
from http_parts import message, open_doors, read_reply, said

from scoring.doors.http import connection as bounds


@pytest.fixture
async def door(model_dir):
    async with open_doors(model_dir) as door:
        yield door


def check_of(transaction=None, **headers):
    raw = json.dumps(said(transaction or payment())).encode()
    return message("POST", "/v1/checks", raw, **headers)


async def test_a_connection_serves_one_request_after_the_other(door):
    async with door.connected() as (reader, writer):
        for _ in range(3):
            writer.write(check_of())
            assert (await read_reply(reader)).status == 200


async def test_what_is_sent_ahead_is_answered_in_order(door):
    sent = [payment() for _ in range(5)]
    async with door.connected() as (reader, writer):
        writer.write(b"".join(map(check_of, sent)))
        replies = [await read_reply(reader) for _ in sent]
    answered = [each.json["decision"]["core"]["transactionId"] for each in replies]
    assert answered == [each.id for each in sent]


async def test_a_refusal_of_a_whole_request_keeps_the_connection(door):
    async with door.connected() as (reader, writer):
        writer.write(message("GET", "/v1/nothing"))
        assert (await read_reply(reader)).status == 404
        writer.write(check_of())
        assert (await read_reply(reader)).status == 200


_HEAD = b"POST /v1/checks HTTP/1.1\r\nhost: x\r\n"


async def test_a_refusal_of_what_was_read_keeps_the_connection_too(door):
    sent = payment()
    changed = payment(sent.id, amount_minor=7)
    async with door.connected() as (reader, writer):
        for raw, status in (
            (check_of(sent), 200),
            (check_of(changed), 409),
            (message("POST", "/v1/checks", b"{"), 400),
            (check_of(x_timeout_ms="0"), 504),
        ):
            writer.write(raw)
            reply = await read_reply(reader)
            assert reply.status == status
            assert "connection" not in reply.headers


ODD = {
    "is no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    "is another protocol's": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "names no host": (b"GET /v1/health HTTP/1.1\r\n\r\n", 400),
    "names two hosts": (
        b"GET /v1/health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        400,
    ),
    "has two lengths": (
        _HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        400,
    ),
    "has a length and chunks": (
        _HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "has a header of 20 kB": (message("GET", "/v1/health", x=20_000 * "a"), 431),
    "has a target of 20 kB": (message("GET", "/" + 20_000 * "a"), 431),
    "has 200 headers": (
        message("GET", "/v1/health", **{f"x{i}": "a" for i in range(200)}),
        431,
    ),
}


@pytest.mark.parametrize("which", ODD)
async def test_a_request_ends_its_connection_that(door, which):
    raw, status = ODD[which]
    async with door.connected() as (reader, writer):
        writer.write(raw)
        async with asyncio.timeout(10):
            assert (await read_reply(reader)).refusal[0] == status
            if not which.startswith("names"):
                assert await reader.read() == b""


async def test_an_offer_of_another_protocol_is_not_taken_up(door):
    upgrade = message(
        "GET", "/v1/health", connection="Upgrade, HTTP2-Settings", upgrade="h2c"
    )
    assert (await door.raw(upgrade)).status == 200


async def test_what_comes_after_a_request_that_is_answered_cannot_answer_for_it(door):
    async with door.connected() as (reader, writer):
        writer.write(check_of() + b"\x00garbage\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await read_reply(reader)).status == 200
            assert await reader.read() == b""


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(bounds, "_REQUEST_S", 0.3)


SLOW = {
    "sends nothing": b"",
    "sends half a head": b"POST /v1/checks HTTP/1.1\r\nhost: x\r\n",
    "sends half a body": check_of()[:-10],
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("which", SLOW)
async def test_a_caller_is_not_waited_for_that(model_dir, which):
    async with (
        open_doors(model_dir, http_idle_s=1) as door,
        door.connected() as (reader, writer),
    ):
        writer.write(SLOW[which])
        async with asyncio.timeout(5):
            said_last = await reader.read()
    assert (b"408 " in said_last) == (SLOW[which] != b"")


@pytest.mark.usefixtures("hasty")
async def test_a_trickle_does_not_buy_time(model_dir):
    async with open_doors(model_dir) as door, door.connected() as (reader, writer):
        began = time.monotonic()
        writer.write(b"POST /v1/checks HTTP/1.1\r\nhost: x\r\n")

        async def trickle():
            while True:
                writer.write(b"x-a: b\r\n")
                await asyncio.sleep(0.05)

        trickling = asyncio.ensure_future(trickle())
        async with asyncio.timeout(5):
            assert (await read_reply(reader)).refusal[0] == 408
        trickling.cancel()
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("hasty")
async def test_an_idle_connection_outlives_the_bound_of_a_request(model_dir):
    async with open_doors(model_dir) as door, door.connected() as (reader, writer):
        for _ in range(2):
            writer.write(check_of())
            assert (await read_reply(reader)).status == 200
            await asyncio.sleep(0.6)


async def test_one_connection_too_many_is_refused(model_dir):
    async with (
        open_doors(model_dir, http_connections_max=1) as door,
        door.connected() as (reader, writer),
    ):
        writer.write(check_of())
        assert (await read_reply(reader)).status == 200
        assert (await door.check(payment())).refusal[0] == 503


async def test_one_too_many_of_an_address_is_refused_until_another_of_it_ends(
    model_dir,
):
    async with open_doors(model_dir, http_connections_per_address_max=1) as door:
        async with door.connected() as (reader, writer):
            writer.write(check_of())
            assert (await read_reply(reader)).status == 200
            refused = await door.check(payment())
            assert refused.refusal[0] == 503
            assert "your address" in refused.json["detail"]
        async with asyncio.timeout(5):
            while (await door.check(payment())).status != 200:
                await asyncio.sleep(0.02)


async def test_a_connection_of_age_is_asked_to_come_again(model_dir):
    async with open_doors(model_dir, http_connection_age_s=0.01) as door:
        await asyncio.sleep(0)
        async with door.connected() as (reader, writer):
            await asyncio.sleep(0.1)
            writer.write(check_of())
            reply = await read_reply(reader)
            assert (reply.status, reply.headers["connection"]) == (200, "close")


async def test_a_drain_finishes_what_is_in_flight(model_dir):
    async with open_doors(model_dir, budget_ms=5_000) as door:
        release = asyncio.Event()

        async def publish(_checks, _answers):
            await release.wait()

        door.grpc.dispatcher.decider.publish = publish
        in_flight = asyncio.ensure_future(door.check(payment()))
        while not door.grpc.dispatcher.flights.count:
            await asyncio.sleep(0.01)
        draining = asyncio.ensure_future(door.server.drain(notice_s=0.3, grace_s=5))
        await asyncio.sleep(0.1)
        assert (await door.get("/v1/health")).status == 503
        during = await door.get("/openapi.json")
        assert (during.status, during.headers["connection"]) == (200, "close")
        await asyncio.sleep(0.6)
        with pytest.raises(ConnectionRefusedError):
            await door.get("/v1/health")
        release.set()
        assert (await in_flight).status == 200
        await draining


async def test_a_caller_who_leaves_ends_its_call(model_dir):
    async with open_doors(model_dir, budget_ms=60_000) as door:
        door.grpc.log_is_away()
        async with door.connected() as (_, writer):
            writer.write(check_of())
            while not door.grpc.dispatcher.flights.count:
                await asyncio.sleep(0.01)
            (running,) = [
                task for task in asyncio.all_tasks() if "run_asgi" in repr(task)
            ]
        async with asyncio.timeout(5):
            await asyncio.wait([running])
