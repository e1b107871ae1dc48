"""What a process that dies amid its replies owes to the log, and pays."""

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


async def cores_replied(served):
    """The cores that callers were answered, by id; at the last of so many the process
    is killed, with the other callers' payments in its hands.
    """
    cores = {}
    options = [("grpc.use_local_subchannel_pool", 1)]

    async def caller(check):
        while len(cores) < REPLIES:
            one = payment()
            try:
                raw = await check(request(one).SerializeToString(), timeout=30)
            except grpc.aio.AioRpcError:
                assert len(cores) >= REPLIES, "nothing fails before"
                return
            core = calls.CheckTransactionResponse.FromString(raw).decision.core
            assert not core.provisional
            cores[one.id] = core.SerializeToString(deterministic=True)
            if len(cores) == REPLIES:
                served.process.kill()

    async with grpc.aio.insecure_channel(served.address, options) as channel:
        check = channel.unary_unary(SERVICE + "CheckTransaction")
        await asyncio.gather(*(caller(check) for _ in range(IN_FLIGHT)))
    return cores


async def killed_amid_replies(settings):
    """What was replied by a process that is gone."""
    with serving(**settings) as served:
        cores = await cores_replied(served)
        served.process.wait()
    return cores


@pytest.fixture
async def logged(embedded_bootstrap, topic_prefix):
    """Reads the decisions topic: all that is there, and until all of these are."""
    await create_topics(embedded_bootstrap, topic_prefix)

    async def read(wanted=(), *, settle_s=1.0):
        async with asyncio.timeout(60):
            while True:
                counted = await count(
                    embedded_bootstrap,
                    topic_prefix,
                    until=len(wanted),
                    settle_s=settle_s,
                )
                if not counted.lost(wanted):
                    return counted

    return read


def holds(counted, cores):
    """Whether the log has what was replied, and of each payment one decision."""
    assert counted.conflicting == 0
    logged = {id_: found[0] for id_, found in counted.decisions.items()}
    return cores.items() <= logged.items()


async def test_with_record_the_outbox_carries_over_what_the_log_lacks(settings, logged):
    cores = await killed_amid_replies(settings)
    there = await logged(settle_s=1.0 + len(cores) / 1_000)
    with serving(**settings):
        counted = await logged(cores)
    # So many would be lost if the store forgot them at the same moment.
    lost = len(there.lost(cores))
    print(f"{lost} of {len(cores)} replied and not yet in the log; then 0")
    assert holds(counted, cores)


async def test_with_log_nothing_was_replied_that_is_not_there(settings, logged):
    cores = await killed_amid_replies(settings | {"reply_after": "log"})
    assert holds(await logged(cores), cores)
