"""One record of each kind that the service writes."""

from types import SimpleNamespace

from scoring import wire
from scoring.core.transaction.label import Label, Verdict
from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.core.transaction.transaction import Transaction
from scoring.doors.stream.dead_letters import letter_record, refusal_record
from scoring.errors import RecordRefused
from scoring.kafka.decision_records import CameFrom, DecisionRecords
from scoring.kafka.follow_up_records import follow_up_record
from scoring.kafka.record_values import Malformed
from scoring.kafka.topic_names import Topics
from scoring.v1 import decision_pb2

TOPICS = Topics("shop-1.")
AT_MS = 1_772_366_400_123
PAYMENT = Transaction("default", "t1", occurred_at_ms=AT_MS, currency="EUR", card="c")
SOURCE = CameFrom(3, (("src", b"12"), ("src-print", b"00000000000000ff")))


def logged(tenant="default", id_="t1", at_ms=AT_MS):
    return decision_pb2.Decision(
        core=decision_pb2.DecisionCore(tenant=tenant, transaction_id=id_),
        trace=decision_pb2.DecisionTrace(decided_at=wire.timestamp_from_ms(at_ms)),
    ).SerializeToString()


def an_input(value=b"\xff", headers=(("a", b"1"),), offset=12):
    return SimpleNamespace(
        topic="shop-1.transactions",
        partition=3,
        offset=offset,
        timestamp=AT_MS,
        key=b"c",
        value=value,
        headers=headers,
    )


def letter(**fields):
    return letter_record(
        an_input(**fields),
        Malformed("the bytes are not a Transaction"),
        topic=TOPICS.transactions_dead_letter,
        content_type=wire.PROTOBUF,
    )


def happened(event_id, id_="t1"):
    kind = LifecycleKind.REFUNDED
    return LifecycleEvent("default", id_, event_id, kind, occurred_at_ms=AT_MS)


RECORDS = {
    "decision": DecisionRecords(TOPICS).record(logged(), PAYMENT, SOURCE),
    "decision in JSON": DecisionRecords(TOPICS, wire.JSON).record(logged(), PAYMENT),
    "challenge": DecisionRecords(TOPICS).challenge(logged(), PAYMENT, "m1", 3),
    "label": follow_up_record(TOPICS, Label("default", "t1", 2, Verdict.FRAUD, AT_MS)),
    "event": follow_up_record(TOPICS, happened("refund:1")),
    "letter": letter(),
    "refusal": refusal_record(
        DecisionRecords(TOPICS).record(logged(), PAYMENT),
        RecordRefused("decisions", "too large"),
        topic=TOPICS.transactions_dead_letter,
        content_type=wire.PROTOBUF,
    ),
}
