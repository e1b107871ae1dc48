"""One batch with duplicates, conflicts, one card twelve times, tenants, full fields."""

import grpc
import pytest
from grpc_parts import open_door, payment, status_of
from store_parts import connected

from scoring.core.features.catalogue import default_catalogue
from scoring.doors.calls.checks import BATCH_COUNT_MAX
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.decision_pb2 import Rung

COUNT = default_catalogue().names.index("card_count_1h")
CONFLICT = grpc.StatusCode.ALREADY_EXISTS.value[0]


@pytest.fixture
async def door(model_dir, store_url, store_namespace):
    store = await connected(store_url, store_namespace)
    async with open_door(model_dir, store, batch_budget_ms=20_000) as door:
        yield door
    await store.close()


async def batch(door, *payments):
    request = calls.BatchCheckTransactionsRequest(transactions=payments)
    reply = await door.stub.BatchCheckTransactions(request, timeout=30)
    return list(reply.results)


def count(result):
    return result.decision.core.features[COUNT]


async def test_one_payment_twice_is_one_decision_and_counts_once(door):
    one = payment("a-once", card="d1")
    other = payment("a-once", card="d1", amount_minor=5)
    last = payment("b-last", card="d1")
    first, again, conflict, after = await batch(door, one, one, other, last)
    assert again.decision == first.decision
    assert conflict.error.code == CONFLICT
    assert (count(first), count(after)) == (1, 2)


async def test_twelve_payments_of_one_card_see_one_another_in_order(door):
    at_ms = payment().occurred_at.seconds * 1_000  # gateways stamp whole seconds
    twelve = [payment(f"v{i:02}-x", card="d2", at_ms=at_ms) for i in range(12)]
    assert list(map(count, await batch(door, *twelve))) == list(range(1, 13))


async def test_no_tenant_is_the_default_tenant_and_another_has_a_history_of_its_own(
    door,
):
    at_ms = payment().occurred_at.seconds * 1_000
    made = [
        payment("t1-x", card="d3", at_ms=at_ms, tenant=tenant)
        for tenant in ("", "default", "north")
    ]
    none, default, north = await batch(door, *made)
    assert none.decision == default.decision
    assert [count(r) for r in (none, default, north)] == [1, 1, 1]


async def test_a_thousand_payments_with_every_field_full_are_one_batch(door):
    names = ("card", "customer", "merchant", "device", "terminal", "payment_id")
    full = [
        payment(
            f"big{i}-" + "i" * 100,
            **{name: name[0] * 128 for name in names},
            attributes={f"k{j}": "v" * 250 for j in range(8)},
        )
        for i in range(BATCH_COUNT_MAX)
    ]
    results = await batch(door, *full)
    rungs = {Rung.Name(r.decision.core.rung) for r in results}
    assert (len(results), rungs) == (BATCH_COUNT_MAX, {"RUNG_FULL"})


@pytest.mark.parametrize("size", [0, BATCH_COUNT_MAX + 1])
async def test_none_and_too_many_are_refused_by_name(door, size):
    request = calls.BatchCheckTransactionsRequest(
        transactions=[payment(f"n{i}-x") for i in range(size)]
    )
    code, field, _ = await status_of(
        door.stub.BatchCheckTransactions(request, timeout=30)
    )
    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "transactions")
