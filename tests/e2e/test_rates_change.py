"""One rate changes: no new model, no restart, and each decision names its rates."""

from __future__ import annotations

import grpc
import pytest
from grpc_parts import payment, request
from rates_parts import HEAD, rates_of
from served import serving

from scoring.core.features.catalogue import default_catalogue
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

AMOUNT = default_catalogue().names.index("amount")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text(f"{HEAD}2020-01-01,USD,EUR,0.87\n")
    return path


def test_a_changed_rate_reaches_the_next_decisions_of_the_same_model(
    file, model_dir, store_url, store_namespace, tmp_path
):
    settings = {
        "model_dir": model_dir,
        "rates_file": file,
        "redis_url": store_url,
        "namespace": store_namespace,
        "state_dir": tmp_path,
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
    }
    with serving(**settings) as served, grpc.insecure_channel(served.address) as opened:
        stub = stubs.FraudScoringStub(opened)

        def check():
            paid = payment(currency="USD", amount_minor=1_000)
            return stub.CheckTransaction(request(paid), timeout=30).decision.core

        first = check()
        assert first.features[AMOUNT] == 870
        assert first.versions.rates == rates_of(USD=[("2020-01-01", "0.87")]).version
        # A typing error is said, and changes nothing.
        file.write_text(f"{HEAD}2020-01-01,USD,EUR,0.87\n2026-01-01,UDS,EUR,0.9\n")
        served.until(lambda: any("did you mean 'USD'" in e for e in served.errors))
        assert check().features[AMOUNT] == 870
        file.write_text(f"{HEAD}2020-01-01,USD,EUR,0.87\n2026-01-01,USD,EUR,0.9\n")
        served.until(lambda: check().versions.rates != first.versions.rates)
        last = check()
        assert last.features[AMOUNT] == 900
        assert last.versions.model == first.versions.model
        assert last.versions.features == first.versions.features
        assert served.stop() == 0
