"""What callers send faster than it can be decided waits its turn, and is not degraded.

At the default settings, through a server of its own. The machine is shared, and a
payment of a stream has 50 ms: of a few tries one is undisturbed.
"""

from collections import Counter

import grpc
import pytest
from grpc_parts import payment
from served import serving

from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Rung

FULL = "RUNG_FULL"
TRIES = 4


@pytest.fixture(scope="module")
def served(store_url, model_dir, tmp_path_factory):
    state_dir = tmp_path_factory.mktemp("unpaced")
    settings = {"redis_url": store_url, "model_dir": model_dir, "state_dir": state_dir}
    with serving(**settings, namespace="unpaced") as served:
        yield served


@pytest.fixture
async def stub(served):
    async with grpc.aio.insecure_channel(served.address) as channel:
        yield stubs.FraudScoringStub(channel)


def rungs(results):
    """How many were decided on which rung of the ladder, or refused."""
    return Counter(
        Rung.Name(r.decision.core.rung) if r.HasField("decision") else r.error.message
        for r in results
    )


async def batch_of(stub, count):
    payments = [payment() for _ in range(count)]
    request = calls.BatchCheckTransactionsRequest(transactions=payments)
    return rungs((await stub.BatchCheckTransactions(request, timeout=2)).results)


async def stream_of(stub, count):
    async def sending():
        for _ in range(count):
            yield calls.StreamCheckTransactionsRequest(transaction=payment())

    replies = stub.StreamCheckTransactions(sending(), timeout=30)
    return rungs([reply.result async for reply in replies])


async def test_a_batch_of_a_thousand_is_decided_in_full_within_two_seconds(stub):
    seen = [await batch_of(stub, 1_000) for _ in range(TRIES)]
    assert {FULL: 1_000} in seen, seen


@pytest.mark.parametrize("count", [256, 300, 600])
async def test_batches_of_any_size_are_decided_in_full(stub, count):
    seen = [await batch_of(stub, count) for _ in range(TRIES)]
    assert {FULL: count} in seen, seen


async def test_a_stream_without_a_pace_is_held_back_and_decided_in_full(stub):
    seen = []
    while {FULL: 10_000} not in seen and len(seen) < TRIES:
        seen.append(await stream_of(stub, 10_000))
    assert {FULL: 10_000} in seen, seen


async def test_callers_after_large_batches_have_their_history(stub):
    """A micro-batch that takes us long is no outage of the store."""
    seen = Counter()
    for _ in range(TRIES):
        await batch_of(stub, 1_000)
        seen += await batch_of(stub, 1)
    assert seen[FULL] > TRIES / 2, seen
