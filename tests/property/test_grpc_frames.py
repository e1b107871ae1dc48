"""Broken HTTP/2 and gRPC frames at the socket: answered or hung up on, no more."""

import re
from pathlib import Path

import grpc
import pytest
from fuzzing import FRAMES, tried
from grpc_parts import SERVICE, payment, request
from http2 import (
    DATA,
    END_STREAM,
    PREFACE,
    SETTINGS,
    call,
    frame,
    message,
    talk,
)
from hypothesis import given
from hypothesis import strategies as st
from served import serving

from scoring.v1 import fraud_scoring_pb2_grpc as stubs

pytestmark = pytest.mark.timeout(3_600)
METHODS = (
    "CheckTransaction",
    "BatchCheckTransactions",
    "StreamCheckTransactions",
    "GetDecision",
    "ReportLabels",
    "Nothing",
)
# 2 is UNKNOWN, 14 UNAVAILABLE, 15 DATA_LOSS: none of them a caller's mistake. 13 is
# gRPC's own word for frames that it cannot read; ours would say so in its message.
PRECISE = {0, 3, 4, 5, 6, 8, 9, 12, 13}
OURS = "unexpected"
GROWTH_MB_MAX = 64
GOOD = request(payment()).SerializeToString()
HELLO = PREFACE + frame(SETTINGS, 0, 0)


def rss_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def check_well(served, times=1):
    with grpc.insecure_channel(served.address) as channel:
        stub = stubs.FraudScoringStub(channel)
        for _ in range(times):
            assert stub.CheckTransaction(request(payment()), timeout=20).decision.core


@pytest.fixture(scope="module")
def server(store_url, model_dir, tmp_path_factory):
    """A process of its own; at the end it still answers, is no larger, and logged
    no error of ours."""
    with serving(
        redis_url=store_url,
        namespace="frames",
        budget_ms=10_000,  # the machine of the tests is shared
        store_budget_ms=5_000,
        model_dir=model_dir,
        state_dir=tmp_path_factory.mktemp("frames"),
    ) as served:
        check_well(served, times=300)
        before = rss_mb(served.process.pid)
        yield served
        check_well(served)
        grown = rss_mb(served.process.pid) - before
        print(f"grown by {grown:.1f} MB from {before:.1f} MB")
        assert grown < GROWTH_MB_MAX
        # gRPC prints a traceback of its own where a caller left within its answer.
        told = "\n".join(served.errors)
        assert "/scoring/" not in told, told


@pytest.fixture(scope="module")
def address(server):
    host, port = server.address.split(":")
    return host, int(port)


frames = st.builds(
    frame,
    st.integers(0, 12),
    st.integers(0, 255),
    st.integers(0, 9) | st.integers(0, 2**32 - 1),
    st.binary(max_size=100) | st.just(message(GOOD)),
)
calls_made = st.builds(
    lambda method, stream: call(f"{SERVICE}{method}".encode(), stream=stream),
    st.sampled_from(METHODS),
    st.integers(1, 9),
)


@st.composite
def conversations(draw):
    """Frames in any order, some of them cut short or with bytes changed."""
    raw = bytearray(draw(st.sampled_from([HELLO, HELLO, HELLO, PREFACE, b""])))
    for one in draw(st.lists(frames | calls_made | st.binary(max_size=40), max_size=8)):
        raw += one
    for _ in range(draw(st.integers(0, 3))):
        if raw:
            raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    return bytes(raw)


@tried(FRAMES)
@given(raw=conversations())
def test_any_frames_end_when_the_caller_hangs_up(address, raw):
    assert talk(address, raw, hangs_up=True).closed


def test_a_path_that_is_no_text_ends_neither_server_nor_service(address, server):
    raw = HELLO + call(f"{SERVICE}GetDecis".encode() + b"\xc6on", stream=1)
    assert talk(address, raw, hangs_up=True).closed
    check_well(server)
    assert server.process.poll() is None


NASTY = [
    (b"content-type", b"text/plain"),
    (b"content-type", b"application/grpc+json"),
    (b"grpc-encoding", b"gzip"),
    (b"grpc-encoding", b"nope"),
    (b"grpc-timeout", b"0n"),
    (b"grpc-timeout", b"-1S"),
    (b"grpc-accept-encoding", b"\xff"),
    (b"authorization", b"Bearer " + b"x" * 200),
    (b"traceparent", b"00-" + b"f" * 32 + b"-" + b"f" * 16 + b"-01"),
    (b"x", b"y" * 9_000),
    (b"te", b"gzip"),
    (b":method", b"GET"),
    (b"bad name", b"z"),
    (b"upper-bin", b"\x00\xff"),
]


lengths = st.integers(0, 250) | st.integers(0, 2**32 - 1)


@st.composite
def framed_calls(draw):
    """One call, ended by the caller, whose gRPC frames may lie."""
    path = f"{SERVICE}{draw(st.sampled_from(METHODS))}".encode()
    # Seldom two: gRPC lets a caller of a broken header wait for up to a second.
    few, two = (st.lists(st.sampled_from(NASTY), max_size=most) for most in (1, 2))
    nasty = draw(few | few | few | two)
    # A call that ends within its message is ended by the caller's deadline alone.
    raw = HELLO + call(path, [(b"grpc-timeout", b"50m"), *nasty])
    body = b"".join(
        message(
            draw(st.binary(max_size=200) | st.just(GOOD)),
            compressed=draw(st.sampled_from([0, 0, 0, 1, 2, 255])),
            length=draw(st.none() | st.none() | lengths),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    cut = draw(st.integers(0, len(body)))
    return raw + frame(DATA, 0, 1, body[:cut]) + frame(DATA, END_STREAM, 1, body[cut:])


@tried(FRAMES)
@given(raw=framed_calls())
def test_any_frames_of_a_call_get_a_precise_status(address, raw):
    heard = talk(address, raw, hangs_up=False)
    assert heard.answered
    if 1 in heard.status:
        assert heard.status[1] in PRECISE, heard
        assert OURS not in heard.words.get(1, "")
