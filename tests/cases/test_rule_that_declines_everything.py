"""A rule that declines everything, as one slip of the keyboard makes it."""

from __future__ import annotations

import itertools
import time

import pytest
from served import serving
from small_policy import SMALL

from scoring.client import Client, Transaction
from scoring.v1.decision_pb2 import Outcome

STOPPED_S_MAX, STOPPED_PAYMENTS_MAX = 10.0, 200
POLICY = (
    SMALL
    + """
lists:
  blocked: {field: card, then: decline, reason_code: BLOCKED, entries: [{token: c9}]}
rules:
  - id: slipped
    when: transaction.amount_minor > 10
    then: decline
    reason_code: TOO_LARGE
"""
)
_numbers = itertools.count()


@pytest.fixture
def policy_file(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return file


@pytest.fixture
def replicas(store_url, store_namespace, model_dir, policy_file, tmp_path):
    """Two servers over one store, each with a client."""
    settings = {
        "redis_url": store_url,
        "namespace": store_namespace,
        "model_dir": model_dir,
        "policy_file": policy_file,
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
    }
    with (
        serving(**settings, state_dir=tmp_path / "one") as one,
        serving(**settings, state_dir=tmp_path / "two") as two,
        Client(one.address, timeout_s=30.0) as first,
        Client(two.address, timeout_s=30.0) as second,
    ):
        yield first, second


def outcomes(client, count=10, **fields):
    """What new payments, each of its own card, are answered."""
    payments = [
        Transaction(
            "default",
            f"t{i}",
            occurred_at_ms=int(time.time() * 1_000),
            amount_minor=500,
            currency="EUR",
            **({"card": f"card-{i}"} | fields),
        )
        for i in itertools.islice(_numbers, count)
    ]
    return [answer.core.outcome for answer in client.check_many(payments)]


def declines(client):
    return Outcome.OUTCOME_DECLINE in outcomes(client)


def until(condition, within_s=60.0):
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.2)


def test_it_is_stopped_in_every_replica_and_a_corrected_file_is_armed(
    replicas, policy_file
):
    began, declined = time.monotonic(), 0
    stopped: set[int] = set()
    while len(stopped) < len(replicas):
        for i, client in enumerate(replicas):
            n = outcomes(client).count(Outcome.OUTCOME_DECLINE)
            declined += n
            stopped |= {i} if not n else set()
    took_s = time.monotonic() - began
    assert took_s <= STOPPED_S_MAX or declined <= STOPPED_PAYMENTS_MAX
    for client in replicas:
        assert not declines(client)
        listed = set(outcomes(client, card="c9"))
        assert listed == {Outcome.OUTCOME_DECLINE}, "a list is never stopped"
    policy_file.write_text(POLICY.replace("> 10\n", "> 11\n"))
    for client in replicas:
        until(lambda one=client: declines(one))
