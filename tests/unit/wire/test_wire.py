"""The wire: what is read, what is refused, what comes back byte for byte."""

import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from scoring import wire
from scoring.core.decision.decision import (
    DecisionCore,
    Degradation,
    DegradationCode,
    Door,
    Outcome,
    Reason,
    ReasonSource,
    RuleHit,
    RuleMode,
    Velocity,
    Versions,
)
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.errors import CorruptState, InvalidTransaction
from scoring.kafka.topic_names import key_of
from scoring.pipeline.answer import recorded_answer
from scoring.ports.check import Check
from scoring.v1 import decision_pb2, transaction_pb2

TRANSACTION = Transaction(
    "default",
    "t1",
    occurred_at_ms=1_700_000_000_123,
    amount_minor=1999,
    currency="EUR",
    card="card-1",
    attributes={"b": "2", "a": "1"},
)
CHECK = Check(
    transaction=TRANSACTION,
    payload_hash=payload_hash(TRANSACTION),
    received_at_ms=1_700_000_000_200,
    door=Door.KAFKA,
    position="transactions/3@12",
)
CORE = DecisionCore(
    tenant="default",
    transaction_id="t1",
    payload_hash=CHECK.payload_hash,
    outcome=Outcome.DECLINE,
    score=0.91,
    margin=2.5,
    reasons=(
        Reason(
            "CARD_VELOCITY",
            "Too many attempts",
            ReasonSource.RULE,
            velocity=Velocity("card_count_1h", 9.0, 5.0, 1_700_000_100_000),
        ),
    ),
    rule_hits=(RuleHit("r1", Outcome.DECLINE, RuleMode.SHADOW, unknown=True),),
    degradations=(Degradation(DegradationCode.HISTORY_PARTIAL, "card"),),
    versions=Versions("m", "p", "f"),
    features=np.array([1.5, np.nan, -2.0], "<f4").tobytes(),
    inexact_features=("card_sum_30d",),
)


def decision() -> bytes:
    trace = wire.trace_to_bytes(
        CHECK,
        decided_at_ms=1_700_000_000_300,
        stages_us={"observe": 120},
        batch_size=4,
        processed_seq=7,
    )
    return wire.decision_to_bytes(wire.core_to_bytes(CORE), trace)


def test_a_core_keeps_every_field_over_the_wire():
    core = wire.decision_from_bytes(decision()).core
    assert core.outcome == decision_pb2.OUTCOME_DECLINE
    assert core.score == 0.91
    assert core.margin == 2.5
    assert core.reasons[0].velocity.observed == 9.0
    assert core.reasons[0].velocity.clears_at.seconds == 1_700_000_100
    assert core.rule_hits[0].unknown
    assert core.degradations[0].detail == "card"
    assert core.versions.policy == "p"
    assert list(core.features[::2]) == [1.5, -2.0]
    assert np.isnan(core.features[1])
    assert list(core.inexact_features) == ["card_sum_30d"]


@pytest.mark.parametrize(
    ("position", "incarnation", "ours"),
    [
        ("transactions/3@12", 5, True),  # delivered again
        ("transactions/3@13", 5, False),  # sent twice: the other's to append
        ("transactions/3@13", 6, True),  # of a mirror: nobody else will
        ("transactions/3@13", 0, False),  # nobody tells
        ("", 0, False),  # through gRPC
    ],
)
def test_a_standing_decision_is_appended_by_the_input_that_made_it_or_by_its_mirror(
    position, incarnation, ours
):
    made = replace(CHECK, incarnation=5)
    trace = wire.trace_to_bytes(
        made, decided_at_ms=1, stages_us={}, batch_size=1, processed_seq=1
    )
    stands = wire.decision_to_bytes(wire.core_to_bytes(CORE), trace)
    again = replace(CHECK, position=position, incarnation=incarnation)
    assert (recorded_answer(again, stands).logged is not None) == ours


def test_an_absent_score_stays_absent():
    core = wire.core_to_bytes(
        DecisionCore("default", "t", b"", Outcome.REVIEW, None, None, ())
    )
    assert not decision_pb2.DecisionCore.FromString(core).HasField("score")


def test_a_logged_decision_embeds_its_transaction_and_gives_the_decision_back():
    logged = wire.logged_to_bytes(decision(), CHECK)
    embedded = wire.decision_from_bytes(logged).transaction
    assert wire.transaction_from_proto(embedded) == TRANSACTION
    assert wire.decision_part(logged) == decision()
    assert wire.position_of(decision()) == "transactions/3@12"
    assert wire.door_of(decision()) is Door.KAFKA


LATER_RELEASE = wire.varint_to_bytes(1_999 << 3) + b"\x01"  # a field of its own


@pytest.mark.parametrize("content_type", [wire.PROTOBUF, wire.JSON])
def test_a_logged_decision_says_what_places_its_record(content_type):
    placed = wire.carried_of(wire.logged_to_bytes(decision(), CHECK), content_type)
    assert key_of(placed) == key_of(TRANSACTION)
    assert (placed.tenant, placed.id) == (TRANSACTION.tenant, TRANSACTION.id)


def test_a_logged_decision_of_a_later_release_is_carried_as_it_is():
    message = decision_pb2.Decision.FromString(wire.logged_to_bytes(decision(), CHECK))
    message.transaction.MergeFromString(LATER_RELEASE)
    later = message.SerializeToString() + LATER_RELEASE
    assert wire.carried_of(later, wire.PROTOBUF).id == TRANSACTION.id
    with pytest.raises(CorruptState, match="later release"):
        wire.carried_of(later, wire.JSON)


@given(st.data())
def test_damaged_bytes_are_placed_or_said_to_be_damaged(data):
    logged = bytearray(wire.logged_to_bytes(decision(), CHECK))
    cut = data.draw(st.integers(0, len(logged)))
    place, byte = (
        data.draw(st.integers(0, len(logged) - 1)),
        data.draw(st.binary(max_size=3)),
    )
    logged[place : place + 1] = byte
    for content_type in (wire.PROTOBUF, wire.JSON):
        for damaged in (bytes(logged), bytes(logged[:cut]), byte):
            with suppress(CorruptState):
                assert wire.carried_of(damaged, content_type).id
                assert wire.decision_to_json(damaged)


def test_our_bytes_are_what_protobuf_itself_would_write():
    logged = wire.logged_to_bytes(decision(), CHECK)
    message = decision_pb2.Decision.FromString(logged)
    assert message.SerializeToString(deterministic=True) == logged


def test_a_decision_reads_as_canonical_json():
    plain = json.loads(wire.decision_to_json(decision()))
    assert plain["core"]["outcome"] == "OUTCOME_DECLINE"
    assert plain["core"]["features"][1] == "NaN"


def test_times_are_truncated_to_milliseconds():
    message = wire.transaction_to_proto(TRANSACTION)
    message.occurred_at.nanos += 999_999
    assert wire.transaction_from_proto(message) == TRANSACTION


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"id": 5', ""),
        (b"\xff\xfe{}", ""),
        (b'{"idd": "x"}', "idd"),
        (b'{"amountMinor": "many"}', "amount_minor"),
        (b'{"channel": "CHANNEL_PIGEON"}', "channel"),
        (b'{"occurredAt": "yesterday"}', "occurred_at"),
        (b'{"id": "t1"}', "occurred_at"),
        (b'{"location":' * 50_000, ""),
    ],
)
def test_bad_json_is_refused_by_field(raw, field):
    with pytest.raises(InvalidTransaction) as refusal:
        wire.transaction_from_bytes(raw, content_type=wire.JSON)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "offset",
    ["+99:99", "+24:00", "-23:60", "+9:99", "+-1:30", "+ 1:00", "+0200", "", "z"],
)
def test_a_time_with_an_offset_that_is_none_is_refused(offset):
    raw = f'{{"id": "t1", "occurredAt": "2026-03-01T12:00:00{offset}"}}'.encode()
    with pytest.raises(InvalidTransaction, match="must be a time such as") as refusal:
        wire.transaction_from_bytes(raw, content_type=wire.JSON)
    assert refusal.value.field == "occurred_at"


@pytest.mark.parametrize(
    ("offset", "minutes"), [("Z", 0), ("+00:00", 0), ("-12:00", 720), ("+05:45", -345)]
)
def test_a_time_with_an_offset_is_the_instant_that_it_names(offset, minutes):
    raw = f'{{"id": "t1", "occurred_at": "2026-03-01T12:00:00.5{offset}"}}'.encode()
    read = wire.transaction_from_bytes(raw, content_type=wire.JSON)
    assert read.occurred_at_ms == 1_772_366_400_500 + minutes * 60_000


def test_a_time_within_a_message_is_looked_at_too():
    raw = (
        b'{"transactionId": "t1", "knownAt": "2026-03-01T12:00:00Z",'
        b' "transaction": {"occurredAt": "2026-03-01T12:00:00+99:99"}}'
    )
    with pytest.raises(InvalidTransaction) as refusal:
        wire.label_from_bytes(raw, content_type=wire.JSON)
    assert refusal.value.field == "transaction.occurred_at"


def test_truncated_protobuf_is_refused():
    raw = wire.transaction_to_proto(TRANSACTION).SerializeToString()
    with pytest.raises(InvalidTransaction, match=r"not a scoring\.v1\.Transaction"):
        wire.transaction_from_bytes(raw[:-1])


def test_unknown_fields_are_refused_because_they_cannot_be_hashed():
    raw = wire.transaction_to_proto(TRANSACTION).SerializeToString()
    with pytest.raises(InvalidTransaction, match="has field 99"):
        # Field 99, varint 1: a later version's field.
        wire.transaction_from_bytes(raw + b"\x98\x06\x01")


def paths_of(descriptor, above=()):
    """Every message within a message, as the numbers of the fields to it."""
    yield above
    for field in descriptor.fields:
        if field.message_type is not None:
            yield from paths_of(field.message_type, (*above, field.number))


def with_an_unknown_field(raw, path):
    """The message with field 15999 in a message of that path."""
    part = wire.varint_to_bytes(15_999 << 3 | 2) + b"\2hi"
    for number in reversed(path):
        head = wire.varint_to_bytes(number << 3 | 2)
        part = head + wire.varint_to_bytes(len(part)) + part
    return raw + part


@pytest.mark.parametrize("path", list(paths_of(transaction_pb2.Transaction.DESCRIPTOR)))
def test_a_field_that_this_version_lacks_is_refused_in_every_message(path):
    raw = wire.transaction_to_proto(TRANSACTION).SerializeToString()
    with pytest.raises(InvalidTransaction, match="which this version lacks"):
        wire.transaction_from_bytes(with_an_unknown_field(raw, path))


@pytest.mark.parametrize("path", list(paths_of(transaction_pb2.Label.DESCRIPTOR)))
def test_a_field_that_this_version_lacks_is_refused_in_every_part_of_a_label(path):
    label = transaction_pb2.Label(
        transaction_id="t1", transaction=wire.transaction_to_proto(TRANSACTION)
    )
    label.known_at.FromMilliseconds(1_700_000_500_000)
    with pytest.raises(InvalidTransaction, match="which this version lacks"):
        wire.label_from_bytes(with_an_unknown_field(label.SerializeToString(), path))


def test_an_unknown_content_type_is_refused_with_those_that_are_known():
    with pytest.raises(InvalidTransaction, match="application/json"):
        wire.transaction_from_bytes(b"", content_type="text/xml")


def test_a_label_keeps_its_transaction():
    message = transaction_pb2.Label(
        transaction_id="t1",
        version=1,
        verdict=transaction_pb2.VERDICT_FRAUD,
        transaction=wire.transaction_to_proto(TRANSACTION),
    )
    message.known_at.FromMilliseconds(1_700_000_500_000)
    label = wire.label_from_bytes(message.SerializeToString())
    assert label.transaction == TRANSACTION
    assert label.fraud is True
    assert wire.label_from_proto(wire.label_to_proto(label)) == label


def test_json_and_protobuf_of_one_transaction_hash_equally():
    message = wire.transaction_to_proto(TRANSACTION)
    text = json_format.MessageToJson(message).encode()
    from_json = wire.transaction_from_bytes(text, content_type=wire.JSON)
    assert payload_hash(from_json) == CHECK.payload_hash


@pytest.mark.parametrize("attempt", [0, 3])
@pytest.mark.parametrize("incarnation", [0, 2**32 - 1])
@pytest.mark.parametrize("traceparent", ["", "00-4bf92f3577b34da6a3ce929d0e0e4736-01"])
@pytest.mark.parametrize("position", ["", "transactions/3@1234"])
def test_a_trace_is_encoded_as_protobuf_itself_would(
    position, traceparent, incarnation, attempt
):
    encoded = wire.trace_to_bytes(
        replace(
            CHECK,
            position=position,
            incarnation=incarnation,
            traceparent=traceparent,
            transaction=replace(CHECK.transaction, attempt=attempt),
        ),
        decided_at_ms=1_700_000_000_300,
        stages_us={"observe": 120, "predict": 0},
        batch_size=400,
        processed_seq=1 << 40,
    )
    trace = decision_pb2.DecisionTrace.FromString(encoded)
    assert trace.SerializeToString(deterministic=True) == encoded
    assert (trace.position, trace.traceparent) == (position, traceparent)
    assert (trace.attempt, trace.processed_seq) == (attempt, 1 << 40)
    assert trace.incarnation == incarnation
    assert [(s.stage, s.duration_us) for s in trace.stages] == [
        ("observe", 120),
        ("predict", 0),
    ]
