"""A rolling restart under load drops nothing, without a single retry."""

import asyncio
import json
import os
from collections import Counter

import grpc
import pytest
from grpc_parts import SERVICE, payment, request
from served import start

from scoring.client.channel import SERVICE_CONFIG, channel_arguments

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1_800)]
ROUNDS = int(os.environ.get("SCORING_DRILL_RESTARTS", "1"))
CALLERS = 8
BETWEEN_CALLS_S = 0.005  # else they take the cores that the replicas start with
NOTICE_S = 2.0  # the machine of the tests is shared: callers learn of it late


@pytest.fixture
def settings(model_dir, store_url, store_namespace, tmp_path):
    return {
        "model_dir": model_dir,
        "redis_url": store_url,
        "namespace": store_namespace,
        "state_dir": tmp_path,
        "budget_ms": 10_000,
        "store_budget_ms": 5_000,
        "drain_notice_s": NOTICE_S,
    }


# A replica that is back is tried before the other one goes.
RECONNECTS = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 500,
}
# Our own client's, but for its retries.
WATCHES_HEALTH = dict(channel_arguments()) | RECONNECTS | {"grpc.enable_retries": 0}


def plain(policy):
    """What any gRPC client does that was told no more than how to balance."""
    config = {"loadBalancingConfig": [{policy: {}}]}
    return RECONNECTS | {"grpc.service_config": json.dumps(config)}


class Load:
    """Callers that never stop and never retry."""

    def __init__(self, addresses, options):
        # What a headless Service resolves to: one name, several replicas.
        target = f"ipv4:{','.join(addresses)}"
        self.channel = grpc.aio.insecure_channel(target, list(options.items()))
        self.seen = Counter()
        self.stopping = False

    async def caller(self):
        check = self.channel.unary_unary(SERVICE + "CheckTransaction")
        while not self.stopping:
            try:
                await check(request(payment()).SerializeToString(), timeout=30)
                self.seen["OK"] += 1
            except grpc.aio.AioRpcError as error:
                self.seen[f"{error.code().name}: {error.details()}"] += 1
            await asyncio.sleep(BETWEEN_CALLS_S)

    async def run(self, drill):
        callers = [asyncio.create_task(self.caller()) for _ in range(CALLERS)]
        try:
            await drill()
        finally:
            self.stopping = True
            await asyncio.gather(*callers)
            await self.channel.close()


async def restarted(served, settings):
    """Drain one replica and start it again where it was."""
    served.process.terminate()
    assert await asyncio.to_thread(served.process.wait, 120) == 0
    return await ready(start(f"--address={served.address}", **settings))


async def ready(served):
    await asyncio.to_thread(served.wait_until_ready)
    return served


@pytest.mark.parametrize(
    ("options", "age_s"),
    [(WATCHES_HEALTH, 0), (plain("round_robin"), 2), (plain("pick_first"), 2)],
    ids=["watches health", "round robin", "pick first"],
)
async def test_a_rolling_restart_fails_no_call(options, age_s, settings):
    assert SERVICE_CONFIG["healthCheckConfig"], "else nobody watches"
    settings |= {"grpc_connection_age_s": age_s}
    replicas = [await ready(start(**settings)) for _ in range(2)]
    load = Load([replica.address for replica in replicas], options)

    async def roll():
        await asyncio.sleep(1)
        for _ in range(ROUNDS):
            for i, replica in enumerate(replicas):
                replicas[i] = await restarted(replica, settings)
                # The other one goes only when this one takes calls again.
                await asyncio.sleep(2 * NOTICE_S)

    try:
        await load.run(roll)
        print(f"{load.seen.total()} calls")
        assert set(load.seen) == {"OK"}
        assert load.seen.total() > 100 * ROUNDS, "nobody called"
    finally:
        for replica in replicas:
            replica.process.kill()
            replica.process.wait()
