"""Labels by topic: applied once, joined by id, refused with a reason."""

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from google.protobuf.timestamp_pb2 import Timestamp
from stream_parts import NOW_MS, Input, transaction

from scoring.core.catalogue import default_catalogue
from scoring.v1.decision_pb2 import Decision
from scoring.v1.transaction_pb2 import Label, LabelSource, Verdict

DAY_MS = 86_400_000
FEATURE = default_catalogue().names.index("terminal_since_fraud")


def label(id_: str, *, payment=None, version=1, verdict=Verdict.VERDICT_FRAUD) -> Input:
    known_at_ms = NOW_MS - 9 * DAY_MS
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


def payment(id_: str, *, days_ago: int, terminal: str):
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
async def test_many_labels_later_than_the_log_do_not_hold_up_the_others(stream):
    """Each used to wait 2 s for its expired record, and 120 s ended the worker."""
    await stream.worker().ready()
    inputs = [Input.of(transaction(f"t{i}")) for i in range(100)]
    await stream.send(inputs)
    await stream.count(100, settle_s=0)
    await expire(stream)
    await stream.send([label(f"t{i}") for i in range(100)], topic="labels")
    counted = await stream.label_letters(200)
    assert counted.reasons == {"UNKNOWN_TRANSACTION": 100}


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
