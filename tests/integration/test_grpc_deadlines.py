"""The deadline is the contract: whoever calls is answered within it, come what may."""

import asyncio
import time
from math import inf

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_parts import open_door, payment
from store_parts import connected

from scoring.core.features.catalogue import default_catalogue
from scoring.doors.calls.requests import Intake
from scoring.doors.grpc.call import GrpcCall
from scoring.errors import DeadlineExceeded, StoreUnavailable
from scoring.pipeline.budget import Budget
from scoring.stores.memory.store import MemoryStore
from scoring.v1 import decision_pb2
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.wiring.services import now_ms

LATE = 4  # DEADLINE_EXCEEDED
NEVER_S = 60.0
# The store takes all it may: half of the second that these callers have.
PATIENT = Budget(store_s=NEVER_S, reserve_s=0.5)


class Silent(MemoryStore):
    """A store that says nothing for as long as it is asked."""

    async def ping(self, **_):
        raise StoreUnavailable("no answer")

    async def observe(self, *_, timeout_s=None, **__):
        assert timeout_s is not None
        await asyncio.sleep(timeout_s)
        raise StoreUnavailable("no answer")


@pytest.fixture
def store():
    return Silent(default_catalogue(), lateness_ms=1, dedupe_ms=1_000_000)


@pytest.fixture
async def door(model_dir, store):
    """A door whose budgets end nothing: only what a test sets does."""
    async with open_door(model_dir, store, budget=PATIENT, budget_ms=60_000) as door:
        yield door


def is_degraded(decision: decision_pb2.Decision) -> bool:
    assert decision.core.reasons
    return decision.core.rung == decision_pb2.RUNG_WITHOUT_HISTORY


async def first_reply(door, *, timeout_s, **fields):
    stream = door.stub.StreamCheckTransactions(timeout=timeout_s)
    await stream.write(
        calls.StreamCheckTransactionsRequest(transaction=payment(), **fields)
    )
    return (await stream.read()).result


async def test_an_answer_comes_within_the_time_that_the_caller_gave(door):
    assert is_degraded(await door.check(payment(), within_s=1.0))


async def test_a_caller_without_deadline_gets_the_budget(model_dir, store):
    async with open_door(model_dir, store, budget=PATIENT, budget_ms=1_000) as door:
        assert is_degraded(await door.check(payment(), within_s=None))


async def test_a_payment_on_a_stream_may_have_less_time_than_the_stream(door):
    answer = await first_reply(door, timeout_s=NEVER_S, budget_ms=1_000)
    assert is_degraded(answer.decision)


async def test_who_is_always_in_a_hurry_does_not_wait_for_a_dead_store_for_ever(
    model_dir, own_store, store_namespace
):
    store = await connected(own_store.url, store_namespace, silence_s=1.0)
    async with open_door(model_dir, store, budget=Budget(reserve_s=0.3)) as door:
        circuit = door.service.scorer.gateway.circuit
        own_store.child.pause()
        waits = 0
        while circuit.asks:  # each may wait less than a store may be silent
            assert is_degraded(await door.check(payment(), within_s=0.7))
            waits += 1
        assert 2 <= waits <= 5
        # Degraded answers are answers: the loss of the store takes no replica away.
        health = await health_pb2_grpc.HealthStub(door.channel).Check(
            health_pb2.HealthCheckRequest(service="scoring.v1.FraudScoring")
        )
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        own_store.child.resume()
    await store.close()


async def test_a_payment_on_a_stream_is_told_when_its_time_is_over(model_dir):
    async with open_door(model_dir) as door:
        door.log_is_away()
        answer = await first_reply(door, timeout_s=NEVER_S, budget_ms=100)
        assert answer.error.code == LATE
        assert not answer.HasField("decision")


async def test_a_batch_is_cut_where_its_time_is_short(model_dir):
    payments = [payment(amount_minor=amount) for amount in (5, 500, 50, 5_000, 1)]
    async with open_door(model_dir, batch_budget_ms=10_000) as door:
        door.dispatcher.shedding.check_s = 3.0
        request = calls.BatchCheckTransactionsRequest(transactions=payments)
        reply = await door.stub.BatchCheckTransactions(request, timeout=NEVER_S)
    assert [bool(r.decision.core.degradations) for r in reply.results] == [
        *(True, False, True, False, True)
    ]


class Context:
    """Of a call whose deadline passed on its way."""

    def time_remaining(self) -> float:
        return -0.001

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


async def test_a_call_whose_deadline_has_passed_on_arrival_is_refused():
    intake = Intake(
        budget_s=inf,
        skew_ms=0,
        exempt=frozenset(),
        now_ms=now_ms,
        monotonic=time.monotonic,
    )
    with pytest.raises(DeadlineExceeded):
        intake.caller(GrpcCall(Context()), "CheckTransaction")
