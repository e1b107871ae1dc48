"""Labels by topic: applied once, joined by id, refused with a reason."""

import asyncio
import time
from dataclasses import replace

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from google.protobuf.timestamp_pb2 import Timestamp
from redis.asyncio import Redis
from stream_parts import HOUR_MS, NOW_MS, Input, transaction

from scoring.core.features.catalogue import default_catalogue
from scoring.v1.decision_pb2 import Decision
from scoring.v1.transaction_pb2 import Label, LabelSource, Verdict

DAY_MS = 86_400_000
FEATURE = default_catalogue().names.index("terminal_since_fraud")


def label(
    id_: str,
    *,
    payment=None,
    version=1,
    verdict=Verdict.VERDICT_FRAUD,
    known_at_ms=NOW_MS - 9 * DAY_MS,
) -> Input:
    message = Label(
        transaction_id=id_,
        version=version,
        verdict=verdict,
        source=LabelSource.LABEL_SOURCE_CHARGEBACK,
        known_at=Timestamp(seconds=known_at_ms // 1_000),
        transaction=payment,
    )
    key = payment.card.encode() if payment else b"card"
    return Input(message.SerializeToString(), key)


def payment(id_: str, *, days_ago: int, terminal: str = "terminal"):
    return transaction(
        id_, at_ms=NOW_MS - days_ago * DAY_MS, terminal=terminal, card=f"card-{id_}"
    )


def feature(counted, id_: str) -> float:
    return Decision.FromString(counted.raw[id_][0]).core.features[FEATURE]


async def test_a_label_changes_what_is_known_of_its_terminal(stream):
    await stream.worker().ready()
    old = payment("old", days_ago=10, terminal="bad")
    await stream.send([Input.of(old)])
    await stream.count(1, settle_s=0)
    reported = label("old", payment=old)
    await stream.send([reported, reported], topic="labels")
    await stream.labels_taken(2)
    await stream.send(
        [
            Input.of(payment("here", days_ago=0, terminal="bad")),
            Input.of(payment("there", days_ago=0, terminal="good")),
        ]
    )
    counted = await stream.count(3)
    assert feature(counted, "here") == feature(counted, "here")
    assert feature(counted, "there") != feature(counted, "there")


async def test_a_label_without_its_transaction_is_joined_by_the_record(stream):
    await stream.worker().ready()
    await stream.send([Input.of(payment("old", days_ago=10, terminal="bad"))])
    await stream.count(1, settle_s=0)
    await stream.send([label("old")], topic="labels")
    await stream.labels_taken(1)
    await stream.send([Input.of(payment("here", days_ago=0, terminal="bad"))])
    counted = await stream.count(2)
    assert feature(counted, "here") == feature(counted, "here")


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_labels_of_payments_that_the_input_dropped_are_joined_by_the_record(
    stream,
):
    await stream.worker().ready()
    await stream.send([Input.of(payment(f"t{i}", days_ago=10)) for i in range(100)])
    await stream.count(100, settle_s=0)
    await expire(stream)
    await stream.send([label(f"t{i}") for i in range(100)], topic="labels")
    await stream.labels_taken(100)
    assert not (await stream.label_letters(100)).letters


async def test_a_label_later_than_the_record_finds_its_payment_among_the_decisions(
    stream,
):
    await stream.worker().ready()
    old = [payment(f"old{i}", days_ago=10, terminal=f"bad{i}") for i in range(20)]
    await stream.send([Input.of(one) for one in old])
    await stream.count(20, settle_s=0)
    await forget_records(stream)
    await stream.send([label(one.id) for one in old], topic="labels")
    await stream.labels_taken(20)
    await stream.send([Input.of(payment("here", days_ago=0, terminal="bad7"))])
    counted = await stream.count(21)
    assert feature(counted, "here") == feature(counted, "here")
    assert not (await stream.label_letters(21)).letters


async def forget_records(stream) -> None:
    """Drop what the store recorded, as its dedupe horizon would."""
    async with Redis.from_url(stream.store.url) as store:
        await store.delete(*[key async for key in store.scan_iter("live:d:*")])


async def test_an_unknown_label_holds_no_label_behind_it_up(stream):
    await stream.worker().ready()
    known = [transaction(f"t{i}") for i in range(40)]
    mixed = [label(f"nobody{i}", known_at_ms=NOW_MS) for i in range(40)]
    bare = [label(one.id, known_at_ms=NOW_MS) for one in known]
    await stream.send([Input.of(one) for one in known])
    await stream.count(40, settle_s=0)
    started = time.monotonic()
    for pair in zip(mixed, bare, strict=True):  # polls of their own
        await stream.send([replace(one, partition=0) for one in pair], topic="labels")
    async with Redis.from_url(stream.store.url) as store:
        while len([k async for k in store.scan_iter("live:v:*")]) < len(known):
            await asyncio.sleep(0.05)
    # One after the other they would take forty times the patience for one.
    assert time.monotonic() - started < 15
    counted = await stream.label_letters(80)
    assert counted.reasons == {"UNKNOWN_TRANSACTION": 40}
    offsets = [letter.offset for letter in counted.letters]
    assert offsets == sorted(offsets), "a restart looks for them in this order"
    assert "all of " in counted.letters[0].message
    await stream.labels_taken(80)


async def test_labels_that_wait_are_delivered_again_after_a_crash(stream):
    worker = await stream.worker().ready()
    await stream.send([label("late"), label("nobody")], topic="labels")
    await asyncio.sleep(1)
    worker.kill()
    await stream.worker().ready()
    await stream.send([Input.of(payment("late", days_ago=10, terminal="bad"))])
    await stream.labels_taken(2)
    counted = await stream.label_letters(2)
    assert counted.reasons == {"UNKNOWN_TRANSACTION": 1}


async def test_a_label_of_a_damaged_history_stops_no_label_behind_it(stream):
    await stream.worker().ready()
    old = [payment(f"old{i}", days_ago=10, terminal=f"bad{i}") for i in range(2)]
    await stream.send([Input.of(one) for one in old])
    await stream.count(2, settle_s=0)
    async with Redis.from_url(stream.store.url) as store:
        (events,) = [k async for k in store.scan_iter("live:*{terminal:*bad0}:e")]
        await store.set(events, b"damaged")
    await stream.send([label(one.id) for one in old], topic="labels")
    await stream.labels_taken(2)
    await stream.send([Input.of(payment("here", days_ago=0, terminal="bad1"))])
    counted = await stream.count(3)
    assert feature(counted, "here") == feature(counted, "here")


@pytest.mark.parametrize(
    ("reported", "reason", "field"),
    [
        (label("t1", known_at_ms=NOW_MS + 2 * HOUR_MS), "INVALID", "known_at"),
        (label("t1", known_at_ms=NOW_MS - 5 * HOUR_MS), "INVALID", "known_at"),
        (
            label("t1", payment=transaction("t1"), known_at_ms=NOW_MS - 5 * HOUR_MS),
            *("INVALID", "known_at"),
        ),
        (label("t1", verdict=2, known_at_ms=NOW_MS), "CONFLICT", "verdict"),
    ],
    ids=["in the future", "before its payment", "before the payment sent", "verdict"],
)
async def test_a_label_that_cannot_be_true_becomes_a_dead_letter_naming_its_field(
    stream, reported, reason, field
):
    await stream.worker().ready()
    await stream.send([Input.of(transaction("t1"))])
    await stream.count(1, settle_s=0)
    first = label("t1", known_at_ms=NOW_MS)
    await stream.send([first, first], topic="labels")
    await stream.labels_taken(2)
    await stream.send([reported], topic="labels")
    counted = await stream.label_letters(2)
    assert counted.reasons == {reason: 1}
    assert counted.letters[0].field == field


async def expire(stream) -> None:
    """Drop what the transactions topic holds, as its retention would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.broker.bootstrap)
    await admin.start()
    to_the_end = RecordsToDelete(before_offset=-1)
    topic = f"{stream.prefix}transactions"
    await admin.delete_records({TopicPartition(topic, p): to_the_end for p in range(4)})
    await admin.close()


async def test_a_label_earlier_than_its_transaction_waits_for_it(stream):
    await stream.worker().ready()
    await stream.send([label("old")], topic="labels")
    await stream.send([Input.of(payment("old", days_ago=10, terminal="bad"))])
    await stream.labels_taken(1)
    await stream.send([Input.of(payment("here", days_ago=0, terminal="bad"))])
    counted = await stream.count(2)
    assert feature(counted, "here") == feature(counted, "here")


async def test_labels_that_cannot_be_applied_become_dead_letters(stream):
    await stream.worker().ready()
    await stream.send(
        [
            label("nobody"),
            Input(b"garbage", b"k"),
            label("t1", version=0, payment=transaction("t1")),
            label("t1", payment=transaction("t1", card="4111111111111111")),
        ],
        topic="labels",
    )
    counted = await stream.label_letters(4)
    assert counted.reasons == {
        "UNKNOWN_TRANSACTION": 1,
        "MALFORMED": 1,
        "INVALID": 1,
        "CARD_NUMBER": 1,
    }
