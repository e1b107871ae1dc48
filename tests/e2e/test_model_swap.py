"""A promotion and a rollback under load: nothing fails, every decision says which."""

from __future__ import annotations

import shutil
import time

import grpc
import numpy as np
import pytest
from grpc_parts import payment, request
from served import serving

from scoring.adapters.model_shelf import ModelShelf
from scoring.adapters.onnx_model import load_model
from scoring.core.catalogue import default_catalogue
from scoring.training.build import Recipe, train_on
from scoring.training.dataset import DAY_MS, Dataset
from scoring.training.fit import Boosting
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

WAITED_S_MAX = 60


@pytest.fixture
def shelf(model_dir, tmp_path):
    """The session's model, promoted, and another one beside it."""
    shelf = ModelShelf(tmp_path / "models")
    with shelf.draft() as draft:
        shutil.copytree(model_dir, draft)
        shelf.add(draft, load_model(model_dir).version)
    catalogue, rows = default_catalogue(), 3_000
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(rows, len(catalogue.names))).astype(np.float32)
    dataset = Dataset(
        names=catalogue.names,
        matrix=matrix,
        fraud=rng.random(rows) < 1 / (1 + np.exp(2 - matrix[:, 0])),
        occurred_at_ms=1_700_000_000_000 + np.sort(rng.integers(0, 20 * DAY_MS, rows)),
        customers=rng.integers(0, 500, rows),
        amount_minor=rng.integers(1, 10_000, rows),
    )
    recipe = Recipe(boosting=Boosting(rounds=20, depth_max=3), label_delay_ms=0)
    with shelf.draft() as draft:
        manifest = train_on(dataset, draft, catalogue=catalogue, recipe=recipe)
        shelf.add(draft, manifest.version)
    return shelf


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
    shelf, store_url, store_namespace, tmp_path
):
    first = shelf.promoted()
    second = next(m.version for m in shelf.versions() if m.version != first)
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
