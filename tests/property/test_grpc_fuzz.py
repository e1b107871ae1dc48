"""Hostile bytes on every method: always a precise status, and the door goes on."""

import grpc
import pytest
from fuzzing import MESSAGES, STREAMS, tried
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_parts import SERVICE, open_door, payment, request
from hypothesis import given
from hypothesis import strategies as st

from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.transaction_pb2 import (
    Label,
    LifecycleEvent,
    Location,
    Transaction,
)

pytestmark = pytest.mark.timeout(3_600)
METHODS = (
    "CheckTransaction",
    "BatchCheckTransactions",
    "GetDecision",
    "ExplainDecision",
    "ReportLabels",
    "ReportEvents",
)
# What a caller's mistake may become. Nothing here says that *we* failed.
PRECISE = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
PRECISE_NUMBERS = {code.value[0] for code in PRECISE} - {0}

texts = st.text(max_size=200)
int64s = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=True, allow_infinity=True)
times = st.builds(Timestamp, seconds=int64s, nanos=st.integers(-(2**31), 2**31 - 1))
transactions = st.builds(
    Transaction,
    tenant=texts,
    id=texts,
    payment_id=texts,
    attempt=st.integers(0, 2**32 - 1),
    occurred_at=times | st.none(),
    amount_minor=int64s,
    currency=st.sampled_from(["EUR", "eur", "", "€€€"]),
    card=texts,
    channel=st.integers(-(2**31), 2**31 - 1),
    entry_mode=st.integers(-(2**31), 2**31 - 1),
    merchant_category=texts,
    location=st.builds(Location, latitude=floats, longitude=floats) | st.none(),
    attributes=st.dictionaries(texts, texts, max_size=5),
)
labels = st.builds(
    Label,
    tenant=texts,
    transaction_id=texts,
    version=st.integers(0, 2**32 - 1),
    verdict=st.integers(-(2**31), 2**31 - 1),
    source=st.integers(-(2**31), 2**31 - 1),
    known_at=times | st.none(),
    transaction=transactions | st.none(),
)
events = st.builds(
    LifecycleEvent,
    tenant=texts,
    transaction_id=texts,
    event_id=texts,
    kind=st.integers(-(2**31), 2**31 - 1),
    occurred_at=times | st.none(),
    amount_minor=int64s | st.none(),
    issuer_code=texts,
    three_ds_result=st.integers(-(2**31), 2**31 - 1),
    known_at=times | st.none(),
    transaction=transactions | st.none(),
)
messages = st.one_of(
    st.builds(calls.CheckTransactionRequest, transaction=transactions),
    st.builds(
        calls.BatchCheckTransactionsRequest,
        transactions=st.lists(transactions, max_size=4),
    ),
    st.builds(calls.GetDecisionRequest, tenant=texts, transaction_id=texts),
    st.builds(calls.ReportLabelsRequest, labels=st.lists(labels, max_size=4)),
    st.builds(calls.ReportEventsRequest, events=st.lists(events, max_size=4)),
)
GOOD = request(payment()).SerializeToString()


@st.composite
def mutated(draw):
    """A good request with a few bytes changed, cut out or put in."""
    raw = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        kind = draw(st.sampled_from("xci"))
        if kind == "x" and raw:
            raw[at] = draw(st.integers(0, 255))
        elif kind == "c":
            del raw[at : at + draw(st.integers(1, 20))]
        else:
            raw[at:at] = draw(st.binary(max_size=20))
    return bytes(raw)


hostile = st.one_of(
    st.binary(max_size=2_000),
    messages.map(lambda message: message.SerializeToString()),
    mutated(),
)


@pytest.fixture(scope="module")
def door(loop, model_dir):
    opened = open_door(model_dir)
    yield loop.run_until_complete(opened.__aenter__())
    loop.run_until_complete(opened.__aexit__(None, None, None))


async def code_of(call):
    """The status of a call; one that is not OK says why."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code() if error.details() else None
    return grpc.StatusCode.OK


@tried(MESSAGES)
@given(raw=hostile)
def test_any_bytes_on_any_method_get_a_precise_status(door, loop, raw):
    for method in METHODS:
        found = loop.run_until_complete(code_of(door.raw(method)(raw, timeout=20)))
        assert found in PRECISE, method


async def streamed(door, raws):
    call = door.channel.stream_stream(SERVICE + "StreamCheckTransactions")(timeout=30)
    for raw in raws:
        await call.write(raw)
    await call.done_writing()
    return [
        calls.StreamCheckTransactionsResponse.FromString(reply) async for reply in call
    ]


@tried(STREAMS)
@given(raws=st.lists(hostile, max_size=8))
def test_any_bytes_on_a_stream_get_an_answer_each(door, loop, raws):
    one = payment()
    good = calls.StreamCheckTransactionsRequest(transaction=one).SerializeToString()
    replies = loop.run_until_complete(streamed(door, [*raws, good]))
    assert len(replies) == len(raws) + 1
    decided = [r.result for r in replies if r.result.HasField("decision")]
    assert one.id in {r.transaction_id for r in decided}
    for reply in replies:
        if reply.result.HasField("error"):
            assert reply.result.error.code in PRECISE_NUMBERS
            assert reply.result.error.message
