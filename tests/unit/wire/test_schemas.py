"""The published schemas are fresh, and what we write keeps to them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
)
from jsonschema import Draft202012Validator
from stream_parts import NOW_MS, transaction

from scoring import wire
from scoring.doors.stream.dead_letters import dead_letter
from scoring.kafka.record_values import Malformed
from scoring.v1.decision_pb2 import Decision, DecisionCore, Outcome, Versions
from scoring.v1.transaction_pb2 import Label, Transaction, Verdict
from scoring.wire import framing, schemas

DOCS = Path(__file__).parents[3] / "docs" / "schemas"


@pytest.mark.parametrize("name", schemas.published())
def test_a_published_schema_is_what_the_messages_say_today(name):
    """When this fails: `make docs`."""
    assert (DOCS / name).read_bytes() == schemas.published()[name]()


def letter():
    record = SimpleNamespace(
        topic="transactions",
        partition=3,
        offset=7,
        timestamp=NOW_MS,
        key=b"card-1",
        value=b"\xff garbage",
        headers=(("a", b"1"),),
    )
    return dead_letter(record, Malformed("the bytes are not a Transaction"))


CATALOGUE = SimpleNamespace(version="v1", names=("count", "age", "sum"))
VALUES = {
    "transactions": transaction("t1", attributes={"basket": "7"}),
    "labels": Label(
        transaction_id="t1",
        verdict=Verdict.VERDICT_FRAUD,
        transaction=transaction("t1"),
    ),
    "decisions": Decision(
        core=DecisionCore(
            transaction_id="t1",
            outcome=Outcome.OUTCOME_DECLINE,
            score=0.97,
            features=[1.5, float("nan"), float("inf")],
            versions=Versions(features=CATALOGUE.version),
            payload_hash=b"\x00\xff",
        ),
        transaction=transaction("t1"),
    ),
    "transactions.dead-letter": letter(),
}


def as_json(value):
    if not isinstance(value, Decision):
        return json_format.MessageToJson(value)
    return wire.decision_to_json(value.SerializeToString(), CATALOGUE)


@pytest.mark.parametrize("topic", VALUES)
def test_the_json_that_we_write_keeps_to_its_schema(topic):
    schema = json.loads((DOCS / f"{topic}.schema.json").read_text())
    validator = Draft202012Validator(schema)
    written = json.loads(as_json(VALUES[topic]))
    validator.validate(written)
    name, value = next((k, v) for k, v in written.items() if isinstance(v, str | dict))
    wrong = written | {name: 7 if isinstance(value, str) else "no object"}
    assert list(validator.iter_errors(wrong)), f"the schema lets {name} be anything"


def test_a_schema_refuses_a_feature_that_is_no_number():
    schema = json.loads((DOCS / "decisions.schema.json").read_text())
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"features": {"age": None, "count": 2}})
    assert not validator.is_valid({"features": {"age": "NaN"}})


def test_the_descriptor_set_reads_a_decision_without_our_code():
    files = descriptor_pb2.FileDescriptorSet.FromString(
        (DOCS / "scoring-v1.binpb").read_bytes()
    )
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    kind = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("scoring.v1.Decision")
    )
    read = kind.FromString(VALUES["decisions"].SerializeToString())
    assert read.core.transaction_id == "t1"


@pytest.mark.parametrize("kind", [Transaction, Label, Decision])
def test_a_frame_comes_off_as_it_was_put_on(kind):
    value = b"\x12\x02t1"
    frame = framing.frame_of(1_000_000, kind.DESCRIPTOR)
    assert frame[:5] == b"\x00\x00\x0f\x42\x40"
    assert framing.unframed(frame + value) == value


@pytest.mark.parametrize("cut", range(8))
def test_a_frame_that_was_cut_is_bytes_like_any_other(cut):
    framing.unframed((framing.frame_of(1, Label.DESCRIPTOR) + b"\xff")[:cut])
