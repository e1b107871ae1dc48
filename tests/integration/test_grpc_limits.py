"""What the door tells every connection about its limits."""

import asyncio

import pytest
from grpc_parts import open_door, payment
from http2 import PREFACE, SETTINGS, frame, talk

from scoring.doors.grpc.listening import Port

HELLO = PREFACE + frame(SETTINGS, 0, 0)
MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE = 0x3, 0x6


async def heard(door, **how):
    host, port = door.server.address.split(":")
    return await asyncio.to_thread(talk, (host, int(port)), HELLO, **how)


@pytest.mark.parametrize("streams", [1, 32])
async def test_a_connection_is_told_how_many_calls_it_may_have(model_dir, streams):
    async with open_door(model_dir, grpc_streams_max=streams) as door:
        settings = (await heard(door, hangs_up=True)).settings
    assert settings[MAX_CONCURRENT_STREAMS] == streams
    assert settings[MAX_HEADER_LIST_SIZE] == 8_192


async def test_a_connection_of_age_is_asked_to_leave(model_dir):
    async with open_door(model_dir, grpc_connection_age_s=1, drain_s=1) as door:
        assert (await heard(door, hangs_up=False, patience_s=60)).goaway


async def test_by_default_a_connection_stays(model_dir):
    async with open_door(model_dir) as door:
        with pytest.raises(TimeoutError):
            await heard(door, hangs_up=False, patience_s=2)


async def test_a_closed_port_serves_the_connections_that_stand_and_takes_no_more(
    model_dir,
):
    async with open_door(model_dir) as door:
        await door.check(payment())
        port = Port.at(door.server.address)
        assert port.connected
        port.close()
        assert (await door.check(payment())).core.reasons
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port.number)
        assert port.connected
