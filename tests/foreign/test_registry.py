"""A registry that is not ours (Apicurio) takes our schemas, and the worker uses it."""

import json
import struct
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import toolbox
from stream_parts import Input, transaction

from scoring import wire
from scoring.embedded.child import LOOPBACK, Child
from scoring.errors import BadArtifact
from scoring.kafka.schema_registry import SchemaRegistry
from scoring.kafka.topic_names import Topics
from scoring.v1.decision_pb2 import Decision
from scoring.v1.transaction_pb2 import Transaction

pytestmark = [pytest.mark.foreign, pytest.mark.kafka]
READY_S = 180.0  # 10 s alone; a JVM on a busy machine takes its time


def address(port: int) -> str:
    return f"http://{LOOPBACK}:{port}/apis/ccompat/v7"


def asked(url: str, path: str):
    with urlopen(url + path, timeout=10) as response:  # noqa: S310 - loopback
        return json.load(response)


def answers(port: int) -> bool:
    try:
        return asked(address(port), "/subjects") == []
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    jar: Path = toolbox.required(toolbox.apicurio)
    java = toolbox.required(lambda: toolbox.of_debian("java"))

    def command(port: int) -> list[str]:
        listens = [f"-Dquarkus.http.host={LOOPBACK}", f"-Dquarkus.http.port={port}"]
        return [str(java), "-Xmx512m", *listens, "-jar", str(jar)]

    log_file = tmp_path_factory.mktemp("registry") / "registry.log"
    child = Child(command, answers, log_file, ready_s=READY_S)
    child.start()
    yield address(child.port)
    child.stop()


@pytest.mark.parametrize("content_type", [wire.PROTOBUF, wire.JSON])
def test_our_schemas_are_taken_once_and_found_again(registry, content_type):
    topics = Topics(f"{content_type[-4:]}.")
    made = SchemaRegistry(registry).frames(topics, content_type=content_type)
    assert SchemaRegistry(registry).frames(topics, content_type=content_type) == made
    looking = SchemaRegistry(registry, registers=False)
    assert looking.frames(topics, content_type=content_type) == made
    assert asked(registry, f"/subjects/{topics.decisions}-value/versions") == [1]


def test_a_schema_that_is_not_there_is_named_with_its_remedy(registry):
    looking = SchemaRegistry(registry, registers=False)
    with pytest.raises(BadArtifact, match="SCORING_SCHEMA_REGISTRY_REGISTERS=true"):
        looking.frames(Topics("nobody."), content_type=wire.PROTOBUF)


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_what_the_worker_writes_names_its_schema_there(stream, registry):
    await stream.worker(SCORING_SCHEMA_REGISTRY_URL=registry).ready()
    payment = transaction("t1")
    framed = wire.frame_of(1, Transaction.DESCRIPTOR) + payment.SerializeToString()
    await stream.send([Input(framed, payment.card.encode())])
    [value] = await stream.values("decisions", 1)
    [id_] = struct.unpack(">xI", value[:5])
    schema = asked(registry, f"/schemas/ids/{id_}")
    assert schema["schemaType"] == "PROTOBUF"
    assert "message Decision " in schema["schema"]
    [reference] = schema["references"]
    imported = asked(
        registry, f"/subjects/{reference['subject'].replace('/', '%2F')}/versions/1"
    )
    assert "message Transaction " in imported["schema"]
    assert Decision.FromString(wire.unframed(value)).transaction.id == "t1"
