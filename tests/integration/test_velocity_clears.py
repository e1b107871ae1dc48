"""A refusal for velocity, by a real server on a real store: limit, value, clearing."""

from __future__ import annotations

import time

import pytest
from served import serving

from scoring.client import Client, Transaction
from scoring.v1.decision_pb2 import Outcome

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
LIMIT = 8  # card_payments_1h of the shipped policy


@pytest.fixture(scope="module")
def client(store_url, model_dir, tmp_path_factory):
    with (
        serving(
            redis_url=store_url,
            namespace="velocity",
            model_dir=model_dir,
            state_dir=tmp_path_factory.mktemp("velocity"),
        ) as served,
        Client(served.address, timeout_s=20.0) as calls,
    ):
        yield calls


def attempts(card: str, start_ms: int, count: int) -> list[Transaction]:
    """Small payments at one shop, a minute apart."""
    return [
        Transaction(
            "default",
            f"{card}-{i}",
            occurred_at_ms=start_ms + i * MINUTE_MS,
            amount_minor=1_000 + i,
            currency="EUR",
            card=card,
            merchant="shop-1",
        )
        for i in range(count)
    ]


def velocity_of(core):
    return next(r.velocity for r in core.reasons if r.code == "CARD_VELOCITY_LIMIT")


def test_a_velocity_refusal_tells_the_value_the_limit_and_when_it_clears(client):
    start_ms = int(time.time() * 1000) - HOUR_MS
    cores = [client.check(t).core for t in attempts("busy", start_ms, LIMIT + 2)]
    codes = [{reason.code for reason in core.reasons} for core in cores]
    held = ["CARD_VELOCITY_LIMIT" in found for found in codes]
    assert held == [False] * LIMIT + [True, True]
    for place, core in enumerate(cores[LIMIT:]):
        velocity = velocity_of(core)
        assert core.outcome == Outcome.OUTCOME_DECLINE
        assert (velocity.feature, velocity.limit) == ("card_payments_1h", LIMIT)
        assert velocity.observed == LIMIT + 1 + place
        assert velocity.exact
        # The payments before it leave the window one by one, an hour after each.
        leaves_ms = start_ms + place * MINUTE_MS + HOUR_MS
        assert velocity.clears_at.ToMilliseconds() == leaves_ms


def test_retries_of_one_payment_are_not_velocity(client):
    start_ms = int(time.time() * 1000) - HOUR_MS
    for i, transaction in enumerate(attempts("patient", start_ms, LIMIT + 4)):
        fields = {"payment_id": "patient-order", "attempt": i + 1}
        retry = Transaction(**{**_fields(transaction), **fields})
        codes = {reason.code for reason in client.check(retry).core.reasons}
        assert "CARD_VELOCITY_LIMIT" not in codes


def _fields(transaction: Transaction) -> dict[str, object]:
    return {n: getattr(transaction, n) for n in Transaction.__dataclass_fields__}
