"""A promotion and a rollback under load: nothing fails, every decision says which."""

from __future__ import annotations

import time

import grpc
from grpc_parts import payment, request
from served import serving
from small_model import noise_shelf

from scoring.v1 import fraud_scoring_pb2_grpc as stubs

WAITED_S_MAX = 60


def decide_until(stub, version):
    """Decide without pause until that model does; what each decision rested on."""
    seen = []
    until = time.monotonic() + WAITED_S_MAX
    while time.monotonic() < until:
        decision = stub.CheckTransaction(request(payment()), timeout=10).decision
        seen.append((decision.core.versions.model, decision.core.target))
        if seen[-1][0] == version:
            return seen
    raise AssertionError(f"{version} never decided: {set(seen)}")


def test_a_promotion_and_a_rollback_drop_no_check(
    model_dir, store_url, store_namespace, tmp_path
):
    shelf, first, second = noise_shelf(tmp_path / "models", model_dir)
    settings = {
        "model_dir": shelf.root,
        "redis_url": store_url,
        "namespace": store_namespace,
        "state_dir": tmp_path,
        "budget_ms": 5_000,
        "store_budget_ms": 2_000,
    }
    with serving(**settings) as served:
        with grpc.insecure_channel(served.address) as channel:
            stub = stubs.FraudScoringStub(channel)
            assert decide_until(stub, first)
            shelf.promote(second)
            seen = decide_until(stub, second)
            shelf.rollback()
            seen += decide_until(stub, first)
        assert served.stop() == 0
    assert {version for version, _ in seen} == {first, second}
    assert {target for _, target in seen} == {1}
