"""What the demo counts at its end, on a machine too busy for what it sends."""

import asyncio
import random
from types import SimpleNamespace

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.transaction.transaction import Transaction
from scoring.demo import doors, play
from scoring.demo.audit import DeliveryAudit
from scoring.demo.doors import GrpcDoor
from scoring.demo.play import Play
from scoring.demo.reading import Positions
from scoring.demo.show import lost_ones
from scoring.demo.tally import Tally
from scoring.v1 import decision_pb2, fraud_scoring_pb2

CORE = {"transactionId": "t1", "outcome": "OUTCOME_APPROVE", "score": 0.25}
LATE = {"code": "DEGRADATION_CODE_NOT_RECORDED", "detail": "record"}
BLIND = {"code": "DEGRADATION_CODE_HISTORY_UNAVAILABLE", "detail": "store"}
TAKEN = Transaction("default", "t1", occurred_at_ms=1, currency="EUR", card="c1")


def audited(reply):
    audit = DeliveryAudit()
    audit.sent("t1")
    audit.replied(reply)
    audit.decision(CORE)
    return audit


def test_a_reply_before_its_record_was_written_is_the_decision_that_is_recorded():
    audit = audited({**CORE, "provisional": True, "degradations": [LATE]})
    assert (audit.superseded, audit.clean) == (0, True)


@pytest.mark.parametrize("degradations", [[], [LATE, BLIND]])
def test_a_reply_that_says_it_is_provisional_may_be_superseded(degradations):
    reply = {**CORE, "provisional": True, "outcome": "OUTCOME_DECLINE"}
    audit = audited({**reply, "degradations": degradations})
    assert (audit.superseded, audit.conflicting, audit.clean) == (1, 0, True)


def test_a_final_reply_that_decides_otherwise_conflicts():
    audit = audited({**CORE, "outcome": "OUTCOME_DECLINE"})
    assert (audit.superseded, audit.conflicting, audit.clean) == (0, 1, False)


class Refusing(grpc.aio.AioRpcError):
    def __init__(self, code):
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata())


@pytest.fixture
def called(monkeypatch):
    """Sends t1 through a gRPC door that says these things, one an attempt."""
    monkeypatch.setattr(doors, "_PAUSES_S", (0.0, 0.0, 0.0))

    async def call(*said):
        told, attempts = iter(said), []

        async def check(request, **_):
            attempts.append(request.transaction.id)
            code = next(told)
            if code is not grpc.StatusCode.OK:
                raise Refusing(code)
            core = decision_pb2.DecisionCore(transaction_id="t1")
            decision = decision_pb2.Decision(core=core)
            return fraud_scoring_pb2.CheckTransactionResponse(decision=decision)

        stub = SimpleNamespace(CheckTransaction=check)
        monkeypatch.setattr(
            doors.fraud_scoring_pb2_grpc, "FraudScoringStub", lambda _: stub
        )
        audit = DeliveryAudit()
        audit.sent("t1")
        door = GrpcDoor(None, audit, Tally())
        door.check(TAKEN)
        await door.finish()
        return audit, attempts

    return call


BUSY, LATER = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_that_is_refused_is_made_again_with_its_id(called):
    audit, attempts = await called(BUSY, LATER, grpc.StatusCode.OK)
    assert attempts == ["t1"] * 3
    assert (audit.refused_count, audit.lost) == (0, 1)  # until the topic has it


async def test_what_is_refused_to_the_last_is_refused_and_not_lost(called):
    audit, _ = await called(BUSY, BUSY, BUSY)
    assert (audit.refused_count, audit.lost, audit.in_flight) == (1, 0, 0)


async def test_what_may_have_been_taken_in_stays_lost_until_it_is_found(called):
    audit, _ = await called(BUSY, LATER, BUSY)
    assert (audit.refused_count, audit.lost) == (0, 1)


async def test_what_is_lost_is_named_with_what_its_last_attempt_ended_with(called):
    audit, _ = await called(LATER, grpc.StatusCode.INTERNAL)
    assert lost_ones(audit) == ["lost: t1: gRPC: INTERNAL"]


@given(st.permutations(range(12)), st.integers(1, 4))
def test_a_record_shown_late_is_read_once_more_and_every_one_counts_once(shown, each):
    """The broker shows records in any order; a look reads from a place to its end."""
    seen, positions, place = [], Positions(0), 0
    for count in [*range(each, len(shown), each), len(shown), len(shown)]:
        there = sorted(shown[:count])
        seen += [o for o in there if o >= place and positions.is_new(o)]
        back = positions.look_again()
        place = positions.next_offset if back is None else back
    assert sorted(seen) == list(range(12))


def begun():
    kafka = SimpleNamespace(producer=None)
    audit = DeliveryAudit()
    audit.sent("t1")
    return Play(kafka, None, audit, Tally(), iter(()), 1.0, random.Random(1))


async def test_one_signal_that_comes_twice_at_once_hurries_nobody():
    one = begun()
    one.told()
    one.told()
    assert one.stop.is_set()
    assert not one.hurry.is_set()


async def test_whoever_asks_twice_hears_what_nobody_waited_for_and_not_that_it_is_lost(
    monkeypatch,
):
    monkeypatch.setattr(play, "_ONE_SIGNAL_S", 0.0)
    monkeypatch.setattr(play, "_SETTLE_S", 0.0)
    one = begun()
    one.told()
    await asyncio.sleep(0.001)
    one.told()
    await asyncio.wait_for(one.drain(), 5)
    figures = one.figures()
    assert (figures["lost"], figures["unfinished"], one.clean) == (0, 1, True)
