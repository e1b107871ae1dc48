"""Batches and streams: every item its own answer, and order kept where it counts."""

import asyncio

import grpc
import pytest
from grpc_parts import open_door, payment, status_of

from scoring.v1 import fraud_scoring_pb2 as calls

INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]
CONFLICT = grpc.StatusCode.ALREADY_EXISTS.value[0]


@pytest.fixture
async def door(model_dir):
    async with open_door(model_dir) as door:
        yield door


async def batch(door, *transactions, **fields):
    request = calls.BatchCheckTransactionsRequest(transactions=transactions, **fields)
    return (await door.stub.BatchCheckTransactions(request, timeout=10)).results


async def test_each_item_of_a_batch_has_its_own_result_in_order(door):
    good, bad, last = payment(), payment(currency="euro"), payment()
    results = await batch(door, good, bad, last)
    assert [r.transaction_id for r in results] == [good.id, bad.id, last.id]
    assert results[0].decision.core.transaction_id == good.id
    assert (results[1].error.code, results[1].error.field) == (INVALID, "currency")
    assert results[2].decision.core.transaction_id == last.id


async def test_a_thousand_payments_are_one_batch_and_one_more_is_refused(door):
    payments = [payment(f"t-thousand-{i}") for i in range(1_000)]
    results = await batch(door, *payments)
    assert sum(r.HasField("decision") for r in results) == 1_000
    too_many = calls.BatchCheckTransactionsRequest(transactions=[*payments, payment()])
    code, field, _ = await status_of(
        door.stub.BatchCheckTransactions(too_many, timeout=10)
    )
    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "transactions")


async def test_an_empty_batch_is_refused(door):
    empty = calls.BatchCheckTransactionsRequest()
    code, field, _ = await status_of(door.stub.BatchCheckTransactions(empty, timeout=5))
    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "transactions")


async def test_a_repeat_within_a_batch_gets_the_same_bytes(door):
    one = payment()
    first, second = await batch(door, one, one)
    assert first.decision.SerializeToString() == second.decision.SerializeToString()


async def test_an_id_used_twice_in_a_batch_for_other_payloads_is_a_conflict(door):
    one = payment("t-twice")
    other = payment("t-twice", amount_minor=7)
    first, second = await batch(door, one, other)
    assert first.HasField("decision")
    assert second.error.code == CONFLICT


async def test_a_card_number_as_id_comes_back_overwritten(door):
    (result,) = await batch(door, payment("4111111111111111"))
    assert result.error.field == "id"
    assert "4111" not in result.transaction_id


async def exchange(door, requests):
    async def sending():
        for request in requests:
            yield request

    return [
        reply.result
        async for reply in door.stub.StreamCheckTransactions(sending(), timeout=30)
    ]


async def test_a_stream_answers_every_payment_once(door):
    payments = [payment() for _ in range(700)]
    results = await exchange(
        door, [calls.StreamCheckTransactionsRequest(transaction=p) for p in payments]
    )
    assert sorted(r.transaction_id for r in results) == sorted(p.id for p in payments)
    assert all(r.HasField("decision") for r in results)


async def test_a_stream_survives_what_it_cannot_judge(door):
    good = payment()
    raw = [
        b"\xff\xff\xff",
        calls.StreamCheckTransactionsRequest().SerializeToString(),
        calls.StreamCheckTransactionsRequest(
            transaction=payment(amount_minor=-5)
        ).SerializeToString(),
        calls.StreamCheckTransactionsRequest(transaction=good).SerializeToString(),
    ]
    call = door.channel.stream_stream(
        "/scoring.v1.FraudScoring/StreamCheckTransactions"
    )(timeout=10)
    for message in raw:
        await call.write(message)
    await call.done_writing()
    results = [
        calls.StreamCheckTransactionsResponse.FromString(reply).result
        async for reply in call
    ]
    decided = [r for r in results if r.HasField("decision")]
    assert [r.transaction_id for r in decided] == [good.id]
    refused = [r.error for r in results if r.HasField("error")]
    assert {e.code for e in refused} == {INVALID}
    assert {e.field for e in refused} == {"", "transaction", "amount_minor"}


async def test_a_stream_and_a_call_share_one_decision(door):
    one = payment()
    (streamed,) = await exchange(
        door, [calls.StreamCheckTransactionsRequest(transaction=one)]
    )
    assert await door.check(one) == streamed.decision


async def test_a_pause_on_a_stream_loses_nothing(door):
    call = door.stub.StreamCheckTransactions(timeout=30)
    for _ in range(20):
        one = payment()
        await call.write(calls.StreamCheckTransactionsRequest(transaction=one))
        reply = await call.read()
        assert reply.result.transaction_id == one.id
        await asyncio.sleep(0)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_who_sends_and_never_reads_is_held_back(door):
    """Replies that nobody takes would grow for ever."""
    sent = 0
    # Refused at once, with its id: nothing but the replies holds it up.
    long_id = calls.StreamCheckTransactionsRequest(transaction=payment("x" * 100_000))

    async def sending():
        nonlocal sent
        while True:
            yield long_id
            sent += 1

    call = door.stub.StreamCheckTransactions(sending(), timeout=60)
    before = -1
    while before < sent:
        before = sent
        await asyncio.sleep(1)
    assert (await call.read()).result.error.field == "id"
    call.cancel()


async def test_a_caller_who_leaves_a_stream_disturbs_nobody(door):
    leaving = door.stub.StreamCheckTransactions(timeout=30)
    for _ in range(50):
        await leaving.write(calls.StreamCheckTransactionsRequest(transaction=payment()))
    leaving.cancel()
    payments = [payment() for _ in range(50)]
    results = await exchange(
        door, [calls.StreamCheckTransactionsRequest(transaction=p) for p in payments]
    )
    assert len(results) == 50


async def test_a_batch_whose_replies_wait_for_the_log_is_decided_all_the_same(door):
    door.log_is_away()
    payments = [payment() for _ in range(300)]
    request = calls.BatchCheckTransactionsRequest(transactions=payments)
    code, _, _ = await status_of(door.stub.BatchCheckTransactions(request, timeout=1.5))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    keys = [("default", one.id) for one in payments]
    assert None not in await door.service.store.decisions(keys)
    async with asyncio.timeout(5):
        while door.dispatcher.flights.count:  # nobody shares what has no caller
            await asyncio.sleep(0.01)
