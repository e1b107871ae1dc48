"""A promotion and a rollback under load, through both doors: nothing fails, and every
decision names the model that made it.
"""

from __future__ import annotations

import asyncio
import os
import time

import grpc
import numpy as np
import pytest
from grpc_parts import payment, request
from served import serving
from small_model import noise_bundle, registry_of
from stream_parts import Input, Worker, count, create_topics, send

from scoring.core.decision.decision import ComputeTarget
from scoring.models.onnx_model import load_model
from scoring.models.registry import bundle_in
from scoring.models.signature import Signer, write_key_pair
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

WAITED_S_MAX = 90
TENSOR_ROWS_MIN = 8
SWAPS = int(os.environ.get("SCORING_DRILL_SWAPS", "1"))


@pytest.fixture
def signed_models(model_dir, other_model_dir, tmp_path):
    """(registry, the model that decides, the other one, trust file); both signed."""
    private, public = write_key_pair(tmp_path / "keys")
    registry, versions = registry_of(tmp_path / "models", model_dir, other_model_dir)
    for version in versions:
        registry.sign(version, Signer.from_file(private))
    return registry, *versions, public


@pytest.fixture
def settings(signed_models, store_url, store_namespace, tmp_path):
    return {
        "model_dir": signed_models[0].root,
        "model_trust_file": signed_models[3],
        "tensor_rows_min": TENSOR_ROWS_MIN,
        "redis_url": store_url,
        "namespace": store_namespace,
        "state_dir": tmp_path,
        "fetch_wait_ms": 5,
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
    }


@pytest.fixture
async def doors(settings, embedded_bootstrap, topic_prefix, tmp_path):
    """A server and a stream worker that pick up what the registry promotes."""
    await create_topics(embedded_bootstrap, topic_prefix)
    settings |= {"kafka_bootstrap": embedded_bootstrap, "topic_prefix": topic_prefix}
    env = {f"SCORING_{name.upper()}": str(value) for name, value in settings.items()}
    worker = Worker(env, tmp_path / "worker.log").start()
    try:
        with serving(**settings) as served:
            await worker.ready()
            async with grpc.aio.insecure_channel(served.address) as channel:
                stub = stubs.FraudScoringStub(channel)
                yield Doors(stub, served, embedded_bootstrap, topic_prefix)
    finally:
        worker.stop()


class Doors:
    """Both doors, and every decision that they made."""

    def __init__(self, stub, served, bootstrap, prefix):
        self.stub, self.served = stub, served
        self.bootstrap, self.prefix = bootstrap, prefix
        self.decided = {"grpc": [], "stream": []}

    async def through_grpc(self):
        reply = await self.stub.CheckTransaction(request(payment()), timeout=30)
        self.decided["grpc"].append(reply.decision)

    async def through_stream(self, batch):
        sent = [payment() for _ in range(batch)]
        inputs = [Input.of(one) for one in sent]
        await send(self.bootstrap, f"{self.prefix}transactions", inputs)
        self.decided["stream"] += [await self.recorded(one.id) for one in sent]

    async def recorded(self, id_):
        while True:
            try:
                wanted = calls.GetDecisionRequest(transaction_id=id_)
                return (await self.stub.GetDecision(wanted, timeout=10)).decision
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                await asyncio.sleep(0.02)

    async def decide_until(self, version):
        """Load on both doors until that model decides behind both."""
        until = time.monotonic() + WAITED_S_MAX
        while time.monotonic() < until:
            checks = (self.through_grpc() for _ in range(8))
            await asyncio.gather(
                *checks, self.through_stream(1), self.through_stream(40)
            )
            latest = {made[-1].core.versions.model for made in self.decided.values()}
            if latest == {version}:
                return
        raise AssertionError(f"{version} never decided behind both doors: {latest}")


def rescored(decision, models):
    """The margin of a decision's vector by the model and the target that it names."""
    model = models[decision.core.versions.model, ComputeTarget(decision.core.target)]
    vector = np.array([decision.core.features], np.float32)
    return float(model.predict(vector).margin[0])


async def test_a_promotion_and_a_rollback_drop_nothing_behind_either_door(
    doors, signed_models, topic_prefix, embedded_bootstrap
):
    registry, first, second, _ = signed_models
    await doors.decide_until(first)
    for _ in range(SWAPS):
        registry.promote(second)
        await doors.decide_until(second)
        registry.rollback()
        await doors.decide_until(first)
    models = {
        (version, target): load_model(registry.path(version), target=target)
        for version in (first, second)
        for target in (ComputeTarget.ENSEMBLE, ComputeTarget.TENSOR)
    }
    for made in doors.decided.values():
        assert {one.core.versions.model for one in made} == {first, second}
        assert not any(one.core.degradations for one in made)
        for one in made:
            exact = one.core.target == ComputeTarget.ENSEMBLE
            assert rescored(one, models) == pytest.approx(
                one.core.margin, abs=0 if exact else 1e-5
            )
    for one in doors.decided["stream"]:
        large = one.trace.batch_size >= TENSOR_ROWS_MIN
        assert one.core.target == 1 + large  # ensemble, tensor
    assert {one.core.target for one in doors.decided["stream"]} == {1, 2}
    assert {one.core.target for one in doors.decided["grpc"]} == {1}
    everything = [one for made in doors.decided.values() for one in made]
    counted = await count(embedded_bootstrap, topic_prefix, until=len(everything))
    assert counted.lost([one.core.transaction_id for one in everything]) == set()
    assert (counted.duplicated, counted.conflicting) == (0, 0)
    print(f"{2 * SWAPS} swaps under {len(everything)} decisions")


async def test_an_unsigned_model_is_not_taken_and_the_running_one_goes_on(
    doors, signed_models
):
    registry, first, _, _ = signed_models
    with registry.draft() as draft:
        noise_bundle(draft, rows=3_000, seed=2, rounds=10, depth=2)
        unsigned = load_model(draft).version
        registry.add(draft, unsigned)
    registry.promote(unsigned)
    async with asyncio.timeout(WAITED_S_MAX):
        while not any("only signed models" in line for line in doors.served.errors):
            await doors.through_grpc()
    await doors.decide_until(first)
    made = [one for door in doors.decided.values() for one in door]
    assert {one.core.versions.model for one in made} == {first}


def test_a_promotion_in_object_storage_reaches_a_server_that_mirrors_it(
    settings, signed_models, tmp_path
):
    registry, first, second, _ = signed_models
    mirror = tmp_path / "mirror"
    settings |= {"model_dir": mirror, "model_url": f"file://{registry.root}"}
    with serving(**settings) as served, grpc.insecure_channel(served.address) as opened:
        stub = stubs.FraudScoringStub(opened)

        def check():
            return stub.CheckTransaction(request(payment()), timeout=30).decision.core

        assert check().versions.model == first
        registry.promote(second)
        until = time.monotonic() + WAITED_S_MAX
        while check().versions.model != second:
            assert time.monotonic() < until, served.errors
            time.sleep(0.05)
        assert served.stop() == 0
    assert bundle_in(mirror).name == second
