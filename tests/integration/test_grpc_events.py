"""ReportEvents, and GetDecision with what became known of the payment since."""

import asyncio

import grpc
import pytest
from grpc_parts import at, event, fresh_id, label, now_ms, open_door, payment
from small_model import noise_bundle
from small_policy import busy

from scoring import wire
from scoring.core.features.catalogue import load_catalogue
from scoring.v1 import decision_pb2
from scoring.v1 import fraud_scoring_pb2 as calls

HOUR_MS = 3_600_000
PLANTED = "4111111111111111"
CODES = {code.value[0]: code.name for code in grpc.StatusCode} | {0: "OK"}

FEATURES = """
name: declines
currency: {reference: EUR}
entities: {card: card}
features:
  - {name: amount, statistic: value, expression: amount, reason_group: AMOUNT,
     description: the amount}
  - {name: 'card_declines_{window}', entity: card, statistic: count, windows: [1h],
     filter: issuer_outcome == 'DECLINED', reason_group: BUSY, description: declines}
"""
POLICY = busy(issuer_says_no="features.card_declines_1h > 0.0")


@pytest.fixture(params=["log", "store"])
async def door(model_dir, request):
    """With a log, and without one, where events go straight to the store."""
    async with open_door(model_dir, logs=request.param == "log") as opened:
        yield opened


async def report(door, *events, within_s=5.0):
    request = calls.ReportEventsRequest(events=events)
    reply = await door.stub.ReportEvents(request, timeout=within_s)
    asked = [(own.transaction_id, own.event_id) for own in events]
    shown = [(r.transaction_id, r.event_id) for r in reply.results]
    assert PLANTED in str(asked) or shown == asked
    assert PLANTED not in str(reply)
    return [(CODES[r.error.code], r.error.field) for r in reply.results]


async def life(door, id_):
    request = calls.GetDecisionRequest(transaction_id=id_)
    return await door.stub.GetDecision(request, timeout=5)


async def test_a_decision_is_read_with_its_labels_and_events(model_dir):
    one = payment()
    occurred = at(now_ms())
    async with open_door(model_dir, logs=False) as door:
        decided = await door.check(one)
        captured = event(one.id, event_id="e2", kind=5, occurred_at=at(now_ms()))
        declined = event(one.id, occurred_at=occurred, issuer_code="51")
        assert await report(door, captured, declined) == [("OK", "")] * 2
        told = label(one.id, source=1)
        await door.stub.ReportLabels(calls.ReportLabelsRequest(labels=[told]))
        found = await life(door, one.id)
    assert found.decision == decided
    assert [e.event_id for e in found.events] == ["e1", "e2"]
    first = found.events[0]
    assert (first.kind, first.issuer_code, first.occurred_at) == (2, "51", occurred)
    assert not first.HasField("transaction")
    assert first.HasField("known_at"), "known from its receipt"
    assert [(one.version, one.verdict, one.source) for one in found.labels] == [
        (1, 1, 1)
    ]


async def test_an_event_is_one_however_often_it_is_reported(door):
    one = payment()
    await door.check(one)
    told = event(one.id, amount_minor=5)
    assert await report(door, told, told) == [("OK", ""), ("OK", "")]
    later = event(one.id, amount_minor=5, occurred_at=told.occurred_at)
    later.known_at.CopyFrom(at(now_ms()))
    other = event(one.id, amount_minor=6, occurred_at=told.occurred_at)
    whole = event(one.id, occurred_at=told.occurred_at)
    assert await report(door, later, other, whole) == [
        ("OK", ""),
        ("ALREADY_EXISTS", "event_id"),
        ("ALREADY_EXISTS", "event_id"),
    ]
    assert len((await life(door, one.id)).events) == 1


async def test_an_event_of_an_unknown_payment_says_so_or_is_left_to_the_worker(door):
    told = event(fresh_id())
    if door.service.log is None:
        assert await report(door, told) == [("NOT_FOUND", "transaction_id")]
        one = payment()
        assert await report(door, event(one.id, transaction=one)) == [("OK", "")]
    else:
        assert await report(door, told) == [("OK", "")]
        (record,) = door.service.log.of(door.service.topics.events)
        known = wire.event_from_bytes(record.value)
        assert abs(known.known_at_ms - now_ms()) < HOUR_MS, "its receipt"


@pytest.mark.parametrize(
    ("fields", "guilty"),
    [
        ({"event_id": ""}, "event_id"),
        ({"event_id": PLANTED}, "event_id"),
        ({"event_id": "e" * 129}, "event_id"),
        ({"kind": 0}, "kind"),
        ({"kind": 99}, "kind"),
        ({"occurred_at": None}, "occurred_at"),
        ({"occurred_at": at(now_ms() + 2 * HOUR_MS)}, "occurred_at"),
        ({"known_at": at(now_ms() + 2 * HOUR_MS)}, "known_at"),
        ({"known_at": at(now_ms() - HOUR_MS)}, "known_at"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"issuer_code": "5 1"}, "issuer_code"),
        ({"issuer_code": PLANTED}, "issuer_code"),
        ({"kind": 4, "issuer_code": "51"}, "issuer_code"),
        ({"kind": 6}, "three_ds_result"),
        ({"three_ds_result": 1}, "three_ds_result"),
        ({"kind": 6, "three_ds_result": 99}, "three_ds_result"),
        ({"transaction": payment("another")}, "transaction.id"),
    ],
)
async def test_a_mistaken_event_is_refused_naming_its_field(model_dir, fields, guilty):
    async with open_door(model_dir) as door:
        one, good = fresh_id(), event(fresh_id())
        told = await report(door, event(one, **fields), good)
        assert told == [("INVALID_ARGUMENT", guilty), ("OK", "")]
        assert len(door.service.log.of(door.service.topics.events)) == 1


async def test_none_or_too_many_events_are_refused(model_dir):
    async with open_door(model_dir) as door:
        for events in ([], [event(fresh_id())] * 1_001):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await report(door, *events)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_events_that_come_at_once_are_one(model_dir):
    one = payment()
    async with open_door(model_dir, logs=False) as door:
        await door.check(one)
        told = event(one.id)
        outcomes = await asyncio.gather(*[report(door, told) for _ in range(8)])
        assert outcomes == [[("OK", "")]] * 8
        assert len((await life(door, one.id)).events) == 1


async def test_a_reported_decline_makes_a_rule_fire_at_the_cards_next_payment(tmp_path):
    catalogue = load_catalogue(FEATURES, name="features.yaml")
    model = noise_bundle(tmp_path / "m", rows=2_000, rounds=3, catalogue=catalogue)
    files = {"features_file": FEATURES, "policy_file": POLICY}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    own = {name: tmp_path / name for name in files}
    async with open_door(model, logs=False, **own) as door:
        first = payment()
        before = await door.check(first)
        assert await report(door, event(first.id)) == [("OK", "")]
        after = await door.check(payment(card=first.card))
        elsewhere = await door.check(payment())
    assert [hit.rule for hit in after.core.rule_hits] == ["issuer_says_no"]
    assert after.core.outcome == decision_pb2.OUTCOME_DECLINE
    assert not before.core.rule_hits
    assert not elsewhere.core.rule_hits
