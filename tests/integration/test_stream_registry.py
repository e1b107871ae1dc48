"""Values framed for a schema registry: registered, written, read and taken."""

import json
import struct

import pytest
from google.protobuf import json_format
from schema_registry import schema_registry
from stream_parts import Input, transaction

from scoring import wire
from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.schema_registry import SchemaRegistry
from scoring.kafka.topic_names import Topics
from scoring.v1.decision_pb2 import Decision
from scoring.v1.transaction_pb2 import DeadLetter, Transaction

TOPICS = Topics("pay.")
OURS = [
    "pay.decisions",
    "pay.events.dead-letter",
    "pay.labels.dead-letter",
    "pay.transactions.dead-letter",
]


@pytest.fixture
def registry():
    with schema_registry() as running:
        yield running


def test_schemas_are_registered_once_with_what_they_import(registry):
    ours = SchemaRegistry(registry.url)
    frames = ours.frames(TOPICS, content_type=wire.PROTOBUF)
    assert sorted(frames) == OURS
    assert frames == ours.frames(TOPICS, content_type=wire.PROTOBUF)
    assert all(len(versions) == 1 for versions in registry.subjects.values())
    [id_] = struct.unpack(">xI", frames["pay.decisions"][:5])
    schema = registry.schema(id_)
    assert "message Decision " in schema["schema"]
    [reference] = schema["references"]
    assert "message Transaction " in registry.subjects[reference["subject"]][0]


def test_json_is_registered_as_json(registry):
    frames = SchemaRegistry(registry.url).frames(TOPICS, content_type=wire.JSON)
    [id_] = struct.unpack(">xI", frames["pay.decisions"])
    schema = registry.schema(id_)
    assert schema["schemaType"] == "JSON"
    assert json.loads(schema["schema"])["$ref"] == "#/$defs/Decision"


def test_where_nothing_is_to_be_registered_it_must_be_there(registry):
    looking = SchemaRegistry(registry.url, registers=False)
    with pytest.raises(BadArtifact, match="SCORING_SCHEMA_REGISTRY_REGISTERS=true"):
        looking.frames(TOPICS, content_type=wire.PROTOBUF)
    assert not registry.subjects
    made = SchemaRegistry(registry.url).frames(TOPICS, content_type=wire.PROTOBUF)
    registry.asked.clear()
    assert looking.frames(TOPICS, content_type=wire.PROTOBUF) == made
    assert not [path for path in registry.asked if path.endswith("/versions")]


def test_a_refused_schema_is_told_in_the_registry_s_own_words():
    with (
        schema_registry(refuses="pay.decisions-value") as registry,
        pytest.raises(BadArtifact, match=r"pay\.decisions-value: .*READER_FIELD"),
    ):
        SchemaRegistry(registry.url).frames(TOPICS, content_type=wire.PROTOBUF)


def test_user_and_password_of_the_url_are_sent_and_never_shown():
    with schema_registry(password="s3 cret") as registry:  # noqa: S106
        right = registry.url.replace("//", "//risk:s3%20cret@")
        assert SchemaRegistry(right).frames(TOPICS, content_type=wire.PROTOBUF)
        wrong = registry.url.replace("//", "//risk:other@")
        with pytest.raises(BadArtifact, match="Unauthorized") as refused:
            SchemaRegistry(wrong).frames(TOPICS, content_type=wire.PROTOBUF)
        assert "other" not in str(refused.value)


def test_a_registry_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(LogUnavailable, match=r"answers at 127\.0\.0\.1$"):
        SchemaRegistry("http://u:p@127.0.0.1:1").frames(
            TOPICS, content_type=wire.PROTOBUF
        )


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
async def test_framed_transactions_become_framed_decisions(stream, registry):
    await stream.worker(SCORING_SCHEMA_REGISTRY_URL=registry.url).ready()
    one, other = transaction("t1"), transaction("t2")
    as_json = json_format.MessageToJson(other).encode()
    await stream.send(
        [
            Input(b"\x00\x00\x00\x00\x07\x00 garbage", b"k"),
            Input(
                wire.frame_of(7, Transaction.DESCRIPTOR) + one.SerializeToString(),
                one.card.encode(),
                content_type=None,
            ),
            Input(wire.frame_of(8) + as_json, other.card.encode(), content_type=None),
        ]
    )
    decisions = await stream.values("decisions", 2)
    assert all(value[0] == 0 for value in decisions)
    read = [Decision.FromString(wire.unframed(value)) for value in decisions]
    assert {decision.transaction.id for decision in read} == {"t1", "t2"}
    [letter] = await stream.values("transactions.dead-letter", 1)
    [id_] = struct.unpack(">xI", letter[:5])
    assert "message DeadLetter " in registry.schema(id_)["schema"]
    assert DeadLetter.FromString(wire.unframed(letter)).value[:1] == b"\x00"
