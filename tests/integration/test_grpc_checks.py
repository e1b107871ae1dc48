"""The synchronous door: one answer for each payment, one status for each mistake."""

import asyncio

import grpc
import pytest
from grpc_parts import fresh_id, open_door, payment, request, status_of

from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.decision_pb2 import Outcome, Rung
from scoring.v1.transaction_pb2 import Location, Transaction
from scoring.wiring.services import now_ms

PLANTED = "4111111111111111"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def door(model_dir):
    async with open_door(model_dir) as door:
        yield door


async def test_a_payment_gets_a_decision_with_reasons_and_versions(door):
    decision = await door.check(payment("t-first"))
    core = decision.core
    assert core.transaction_id == "t-first"
    assert core.outcome != Outcome.OUTCOME_UNSPECIFIED
    assert core.rung == Rung.RUNG_FULL
    assert core.reasons
    assert core.versions.model
    assert core.versions.policy
    assert core.versions.features
    assert not core.degradations
    assert [s.stage for s in decision.trace.stages] == [
        *("queue", "observe", "vectorise", "predict", "decide")
    ]


async def test_a_repeat_returns_the_stored_decision_byte_for_byte(door):
    raw = request(payment()).SerializeToString()
    check = door.raw("CheckTransaction")
    first = await check(raw, timeout=5)
    assert await check(raw, timeout=5) == first


async def test_the_same_id_with_another_amount_is_a_conflict(door):
    await door.check(payment("t-conflict", at_ms=now_ms()))
    other = payment("t-conflict", amount_minor=9_900)
    code, field, message = await status_of(door.check(other))
    assert (code, field) == (grpc.StatusCode.ALREADY_EXISTS, "id")
    assert "new id" in message


async def test_concurrent_repeats_share_one_decision(door):
    raw = request(payment()).SerializeToString()
    check = door.raw("CheckTransaction")
    replies = await asyncio.gather(*(check(raw, timeout=5) for _ in range(50)))
    assert len(set(replies)) == 1


async def test_a_dry_run_records_nothing(door):
    transaction = payment()
    await door.check(transaction, dry_run=True)
    lookup = calls.GetDecisionRequest(transaction_id=transaction.id)
    code, _, _ = await status_of(door.stub.GetDecision(lookup, timeout=5))
    assert code is grpc.StatusCode.NOT_FOUND


MISTAKES = {
    "a missing id": ({"id_": ""}, "id"),
    "a negative amount": ({"amount_minor": -1}, "amount_minor"),
    "an unknown channel": ({"channel": 99}, "channel"),
    "an unknown entry mode": ({"entry_mode": 99}, "entry_mode"),
    "a currency in words": ({"currency": "euro"}, "currency"),
    "a NaN latitude": (
        {"location": Location(latitude=float("nan"), longitude=1.0)},
        "location.latitude",
    ),
    "an infinite longitude": (
        {"location": Location(latitude=1.0, longitude=float("inf"))},
        "location.longitude",
    ),
    "a time far ahead": ({"at_ms": 4_000_000_000_000}, "occurred_at"),
    "a time in seconds": ({"at_ms": 1_700_000_000}, "occurred_at"),
    "a tenant with a slash": ({"tenant": "a/b"}, "tenant"),
    "a control character": ({"terminal": "a\x00b"}, "terminal"),
    "too many attributes": (
        {"attributes": {f"k{i}": "v" for i in range(33)}},
        "attributes",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_is_refused_naming_its_field(door, mistake):
    fields, guilty = MISTAKES[mistake]
    code, field, message = await status_of(door.check(payment(**fields)))
    assert (code, field) == (INVALID, guilty)
    assert guilty in message


CARD_FIELDS = (
    "tenant", "id_", "payment_id", "card", "customer", "merchant", "terminal",
    "device",
)  # fmt: skip


@pytest.mark.parametrize("field", CARD_FIELDS)
async def test_a_card_number_in_any_field_is_refused_and_never_repeated(door, field):
    code, guilty, message = await status_of(door.check(payment(**{field: PLANTED})))
    assert (code, guilty) == (INVALID, field.rstrip("_"))
    assert PLANTED not in message
    assert "token" in message


@pytest.mark.parametrize("attributes", [{"note": f"paid {PLANTED}"}, {PLANTED: "x"}])
async def test_a_card_number_in_an_attribute_is_refused(door, attributes):
    code, field, message = await status_of(door.check(payment(attributes=attributes)))
    assert (code, field) == (INVALID, "attributes")
    assert PLANTED not in message


async def test_a_request_without_transaction_names_what_is_missing(door):
    code, field, _ = await status_of(
        door.stub.CheckTransaction(calls.CheckTransactionRequest(), timeout=5)
    )
    assert (code, field) == (INVALID, "transaction")


async def test_a_payment_without_time_names_what_is_missing(door):
    transaction = Transaction(id=fresh_id(), amount_minor=1, currency="EUR")
    code, field, _ = await status_of(door.check(transaction))
    assert (code, field) == (INVALID, "occurred_at")


@pytest.mark.parametrize(
    "method",
    [
        "CheckTransaction",
        "BatchCheckTransactions",
        "GetDecision",
        "ExplainDecision",
        "ReportLabels",
    ],
)
async def test_bytes_that_are_no_message_are_an_invalid_argument(door, method):
    code, _, message = await status_of(door.raw(method)(b"\xff\xff\xff", timeout=5))
    assert code is INVALID
    assert "Request" in message


async def test_text_that_is_not_utf8_is_an_invalid_argument(door):
    good = request(payment("t-utf8")).SerializeToString()
    bad = good.replace(b"t-utf8", b"t-\xff\xfe\xfd8")
    code, _, _ = await status_of(door.raw("CheckTransaction")(bad, timeout=5))
    assert code is INVALID


async def test_a_field_that_this_version_lacks_is_refused(door):
    raw = request(payment()).SerializeToString() + b"\xfa\x01\x02hi"
    code, _, message = await status_of(door.raw("CheckTransaction")(raw, timeout=5))
    assert code is INVALID
    assert "field 31" in message


@pytest.mark.parametrize("field", ["occurred_at", "location"])
async def test_a_field_that_this_version_lacks_is_refused_in_a_message_within(
    door, field
):
    sent = request(payment(location=Location(latitude=1.0, longitude=2.0)))
    part = getattr(sent.transaction, field)
    part.MergeFromString(b"\xfa\x01\x02hi")
    raw = sent.SerializeToString()
    code, named, _ = await status_of(door.raw("CheckTransaction")(raw, timeout=5))
    assert (code, named) == (INVALID, field)


async def test_ten_megabytes_are_turned_away_and_the_next_payment_is_decided(door):
    huge = payment(attributes={"note": "x" * 10_000_000})
    code, _, _ = await status_of(door.check(huge))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await door.check(payment())).core.reasons


async def test_one_payment_beyond_the_message_limit_is_turned_away(door):
    big = payment(attributes={"note": "x" * 400_000})
    code, _, message = await status_of(door.check(big))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "262144" in message


async def test_a_trace_context_is_kept_and_a_false_one_dropped(door):
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for sent, kept in ((good, good), (f"card {PLANTED}", "")):
        reply = await door.stub.CheckTransaction(
            request(payment()), timeout=5, metadata=(("traceparent", sent),)
        )
        assert reply.decision.trace.traceparent == kept


async def test_more_checks_than_the_limit_are_pushed_back(model_dir):
    async with open_door(model_dir, grpc_checks_max=1) as door:
        batch = calls.BatchCheckTransactionsRequest(transactions=[payment(), payment()])
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await door.stub.BatchCheckTransactions(batch, timeout=5)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailing = dict(refused.value.trailing_metadata() or ())
        assert int(trailing["grpc-retry-pushback-ms"]) > 0
