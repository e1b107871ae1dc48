"""Thirty attempts with one card, one after the other, as gateways stamp them."""

from __future__ import annotations

import time

import pytest
from served import serving

from scoring.client import Client, Transaction
from scoring.core.features.catalogue import default_catalogue
from scoring.v1.decision_pb2 import Outcome

LIMIT = 8  # card_payments_1h of the shipped policy
ATTEMPTS, APART_MS = 30, 150
CLOCKS_MS = {"milliseconds": 1, "whole seconds": 1_000, "whole minutes": 60_000}


@pytest.fixture(scope="module")
def client(store_url, model_dir, tmp_path_factory):
    with (
        serving(
            redis_url=store_url,
            namespace="burst",
            model_dir=model_dir,
            state_dir=tmp_path_factory.mktemp("burst"),
        ) as served,
        Client(served.address, timeout_s=20.0) as calls,
    ):
        yield calls


@pytest.mark.parametrize("clock", CLOCKS_MS)
def test_whatever_a_burst_is_stamped_with_the_limit_declines_all_after_the_eighth(
    client, clock
):
    began_ms = int(time.time() * 1_000) - 120_000
    place = default_catalogue().names.index("card_payments_1h")
    seen, limited, declined = [], [], []
    for i in range(ATTEMPTS):
        at_ms = began_ms + i * APART_MS
        transaction = Transaction(
            "default",
            f"{clock}-{i}".replace(" ", "-"),
            occurred_at_ms=at_ms - at_ms % CLOCKS_MS[clock],
            amount_minor=100,
            currency="EUR",
            card=f"card-{CLOCKS_MS[clock]}",
            merchant=f"shop-{i % 2}",
        )
        core = client.check(transaction).core
        seen.append(int(core.features[place]))
        codes = {reason.code for reason in core.reasons}
        limited.append("CARD_VELOCITY_LIMIT" in codes)
        declined.append(core.outcome == Outcome.OUTCOME_DECLINE)
    assert seen == list(range(1, ATTEMPTS + 1))
    assert limited == [False] * LIMIT + [True] * (ATTEMPTS - LIMIT)
    assert all(declined[LIMIT:])
