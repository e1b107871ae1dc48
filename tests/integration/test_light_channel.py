"""The generator's own caller says what a real gRPC server answers."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest

from load_tests.light_channel import LightChannel

SERVICE = "echo.Echo"
AT_A_TIME = 4


async def echo(raw, context):
    if raw == b"refuse":
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")
    if raw == b"sleep":
        await asyncio.sleep(30)
    return raw


async def echoes(requests, _context):
    async for raw in requests:
        yield raw * 2


@asynccontextmanager
async def server(port=0):
    made = grpc.aio.server(options=[("grpc.max_concurrent_streams", AT_A_TIME)])
    methods = {
        "One": grpc.unary_unary_rpc_method_handler(echo),
        "Many": grpc.stream_stream_rpc_method_handler(echoes),
    }
    made.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, methods),)
    )
    port = made.add_insecure_port(f"127.0.0.1:{port}")
    await made.start()
    yield f"127.0.0.1:{port}"
    await made.stop(0)


def one(channel, raw, timeout_s=10.0):
    return channel.unary(f"/{SERVICE}/One", raw, timeout_s)


@pytest.mark.parametrize("raw", [b"", b"x", b"y" * 60_000], ids=("none", "one", "big"))
async def test_a_reply_comes_whole(raw):
    async with server() as address, LightChannel(address) as channel:
        assert await one(channel, raw) == ("OK", raw)


async def test_statuses_come_by_name_again_and_again():
    async with server() as address, LightChannel(address) as channel:
        for _ in range(3):
            assert await one(channel, b"refuse") == ("RESOURCE_EXHAUSTED", b"")
        missing = await channel.unary(f"/{SERVICE}/None", b"", 10.0)
        assert missing == ("UNIMPLEMENTED", b"")


async def test_a_deadline_ends_a_call_and_no_other():
    async with server() as address, LightChannel(address) as channel:
        late, fine = await asyncio.gather(
            one(channel, b"sleep", 0.2), one(channel, b"fine")
        )
        assert late == ("DEADLINE_EXCEEDED", b"")
        assert fine == ("OK", b"fine")


async def test_calls_beyond_the_servers_limit_wait_for_their_turn():
    async with server() as address, LightChannel(address) as channel:
        await one(channel, b"first")  # the limit is known now
        raws = [str(i).encode() for i in range(20 * AT_A_TIME)]
        replies = await asyncio.gather(*(one(channel, raw) for raw in raws))
        assert replies == [("OK", raw) for raw in raws]
        held = [one(channel, b"sleep", 0.3) for _ in range(AT_A_TIME)]
        ended = await asyncio.gather(*held, one(channel, b"queued", 0.2))
        assert {status for status, _ in ended} == {"DEADLINE_EXCEEDED"}
        assert await one(channel, b"after") == ("OK", b"after")


async def test_more_than_a_window_goes_through():
    async with server() as address, LightChannel(address) as channel:
        raw = b"z" * 50_000
        replies = await asyncio.gather(*(one(channel, raw) for _ in range(40)))
        assert {(status, len(reply)) for status, reply in replies} == {("OK", 50_000)}


async def test_a_stream_carries_both_directions():
    async with server() as address, LightChannel(address) as channel:
        heard = []
        call = await channel.stream(f"/{SERVICE}/Many", heard.append)
        for i in range(300):
            call.write(str(i).encode() * 100)
        call.done_writing()
        assert await call.ended() == "OK"
        assert heard == [str(i).encode() * 200 for i in range(300)]


async def test_a_server_that_went_is_unavailable_until_it_is_back():
    async with server() as address:
        channel = LightChannel(address)
        assert (await one(channel, b"1"))[0] == "OK"
        sleeping = asyncio.ensure_future(one(channel, b"sleep"))
        await asyncio.sleep(0.05)
    assert (await sleeping)[0] in {"UNAVAILABLE", "CANCELLED"}
    assert (await one(channel, b"2"))[0] == "UNAVAILABLE"
    async with server(address.rsplit(":", 1)[1]):
        assert await one(channel, b"3") == ("OK", b"3")
    channel.close()
