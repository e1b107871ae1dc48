"""A policy changes: no restart, and each decision names the one that made it."""

from __future__ import annotations

import grpc
import pytest
from grpc_parts import payment, request
from release_parts import policy_text
from served import serving

from scoring.v1 import fraud_scoring_pb2
from scoring.v1 import fraud_scoring_pb2_grpc as stubs


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(policy_text(1).text)
    return path


def test_a_changed_policy_file_decides_the_next_payments(
    file, model_dir, store_url, store_namespace, tmp_path
):
    settings = {
        "model_dir": model_dir,
        "policy_file": file,
        "redis_url": store_url,
        "namespace": store_namespace,
        "state_dir": tmp_path,
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
    }
    with serving(**settings) as served, grpc.insecure_channel(served.address) as opened:
        stub = stubs.FraudScoringStub(opened)

        def check(paid=None):
            paid = payment() if paid is None else paid
            return stub.CheckTransaction(request(paid), timeout=30).decision.core

        paid = payment()
        first = check(paid)
        assert first.versions.policy == policy_text(1).version
        # A typing error is said, and changes nothing.
        file.write_text(policy_text(2).text.replace("rules:", "rulez:", 1))
        served.until(lambda: any("rulez" in line for line in served.errors))
        assert check().versions.policy == first.versions.policy
        file.write_text(policy_text(2).text)
        served.until(lambda: check().versions.policy == policy_text(2).version)
        # What was decided stays, and is explained by the policy that decided it.
        assert check(paid).versions.policy == first.versions.policy
        explained = stub.ExplainDecision(
            fraud_scoring_pb2.ExplainDecisionRequest(transaction_id=paid.id), timeout=60
        )
        assert all(part.reason_code for part in explained.contributions)
        assert served.stop() == 0
    kept = {path.stem for path in (tmp_path / "releases" / "policies").iterdir()}
    assert kept == {policy_text(1).version, policy_text(2).version}
