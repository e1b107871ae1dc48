"""What a process that dies right after its replies owes to the log, and pays."""

import asyncio
import os

import grpc
import pytest
from grpc_parts import SERVICE, payment, request
from served import serving
from stream_parts import count, create_topics

from scoring.v1 import fraud_scoring_pb2 as calls

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]
REPLIES = int(os.environ.get("SCORING_DRILL_REPLIES", "300"))
IN_FLIGHT = 16


@pytest.fixture
def settings(embedded_bootstrap, topic_prefix, own_store, model_dir, tmp_path):
    return {
        "redis_url": own_store.url,
        "kafka_bootstrap": embedded_bootstrap,
        "topic_prefix": topic_prefix,
        "fetch_wait_ms": 5,
        "model_dir": model_dir,
        "state_dir": tmp_path / "state",
        # The machine of the tests is shared: this is no drill of time.
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
    }


async def replied(address):
    """The cores that callers were answered, by id; the last one came just now."""
    cores = {}
    waiting = iter([payment() for _ in range(REPLIES)])
    options = [("grpc.use_local_subchannel_pool", 1)]

    async def caller(check):
        for one in waiting:
            raw = await check(request(one).SerializeToString(), timeout=30)
            core = calls.CheckTransactionResponse.FromString(raw).decision.core
            assert not core.provisional
            cores[one.id] = core.SerializeToString(deterministic=True)

    async with grpc.aio.insecure_channel(address, options) as channel:
        check = channel.unary_unary(SERVICE + "CheckTransaction")
        await asyncio.gather(*(caller(check) for _ in range(IN_FLIGHT)))
    return cores


async def killed_after_replies(settings):
    """What was replied, by a process that is gone a moment after."""
    with serving(**settings) as served:
        cores = await replied(served.address)
        served.process.kill()
        served.process.wait()
    return cores


@pytest.fixture
async def logged(embedded_bootstrap, topic_prefix):
    """Reads the decisions topic until so many are there."""
    await create_topics(embedded_bootstrap, topic_prefix)

    async def read(until):
        async with asyncio.timeout(60):
            return await count(embedded_bootstrap, topic_prefix, until=until)

    return read


async def test_with_record_the_outbox_carries_over_what_the_log_lacks(settings, logged):
    cores = await killed_after_replies(settings)
    missing = len(cores) - len((await logged(0)).decisions)
    with serving(**settings):
        counted = await logged(len(cores))
    # So many would be lost if the store forgot them at the same moment.
    print(f"{missing} of {len(cores)} replied and not yet in the log; then 0")
    assert {id_: {core} for id_, core in cores.items()} == {
        id_: set(found) for id_, found in counted.decisions.items()
    }


async def test_with_log_nothing_was_replied_that_is_not_there(settings, logged):
    cores = await killed_after_replies(settings | {"reply_after": "log"})
    counted = await logged(len(cores))
    assert (
        cores.items()
        <= {id_: found[0] for id_, found in counted.decisions.items()}.items()
    )
