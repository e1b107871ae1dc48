"""Readers that are not ours read decisions, as JSON and as Protobuf.

For Protobuf they have nothing but the descriptor set that we publish.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toolbox
from java import java_program
from stream_parts import NOW_MS, create_topics

from scoring import wire
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics
from scoring.v1.decision_pb2 import Decision, DecisionCore, Outcome, Reason
from scoring.v1.transaction_pb2 import Transaction

pytestmark = [pytest.mark.foreign, pytest.mark.kafka]
HERE = Path(__file__).parent / "readers"
DESCRIPTORS = toolbox.ROOT / "docs" / "schemas" / "scoring-v1.binpb"
PROTOBUFJS = "7.5.4"
DECISION = Decision(
    core=DecisionCore(
        transaction_id="read-1",
        outcome=Outcome.OUTCOME_DECLINE,
        score=0.5,
        reasons=[Reason(code="CARD_VELOCITY", wording="Many payments — at once")],
    ),
    transaction=Transaction(
        id="read-1",
        amount_minor=2**53 + 1,
        currency="EUR",
        card="card-7",
        occurred_at=wire.timestamp_from_ms(NOW_MS),
    ),
)


@pytest.fixture(params=[wire.JSON, wire.PROTOBUF], ids=["json", "protobuf"])
def topic(request, kafka_bootstrap, topic_prefix) -> str:
    """A decisions topic that holds one decision, written as we write it."""
    topics, logged = Topics(topic_prefix), DECISION.SerializeToString()
    transaction = wire.transaction_from_proto(DECISION.transaction)
    record = DecisionRecords(topics, request.param).record(logged, transaction)

    async def write():
        await create_topics(kafka_bootstrap, topic_prefix)
        log = await KafkaLog.connect(kafka_bootstrap)
        await log.append([record])
        await log.close()

    asyncio.run(write())
    return topics.decisions


def run(*words, env=None, stdin=None) -> bytes:
    done = subprocess.run(
        [str(word) for word in words],
        env={**os.environ, **(env or {})},
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def assert_read(printed: bytes) -> None:
    decision = json.loads(printed)
    core, payment = decision["core"], decision["transaction"]
    assert core["transactionId"] == "read-1"
    assert (core["outcome"], core["score"]) == ("OUTCOME_DECLINE", 0.5)
    assert core["reasons"][0]["wording"] == "Many payments — at once"
    assert payment["amountMinor"] == str(2**53 + 1)


def test_the_kafka_client_for_java_reads_it(kafka_bootstrap, topic):
    java = java_program("readers/DecisionReader.java")
    assert_read(run(*java, kafka_bootstrap, topic, DESCRIPTORS))


def test_kafkajs_reads_it(kafka_bootstrap, topic):
    def fetch(into: Path) -> None:
        packages = f"kafkajs@{toolbox.KAFKAJS}", f"protobufjs@{PROTOBUFJS}"
        toolbox.command(
            "npm", "install", "--silent", "--prefix", into, *packages, cwd=into
        )

    name = f"readers-{toolbox.KAFKAJS}-{PROTOBUFJS}"
    home = toolbox.required(lambda: toolbox.kept(name, fetch))
    node = {"NODE_PATH": str(home / "node_modules")}
    assert_read(
        run("node", HERE / "reader.js", kafka_bootstrap, topic, DESCRIPTORS, env=node)
    )


def test_kcat_reads_it(kafka_bootstrap, topic, request):
    kcat = toolbox.required(toolbox.kcat)
    whole = ("-C", "-o", "beginning", "-e", "-q", "-f", "%s")
    value = run(kcat, "-b", kafka_bootstrap, "-t", topic, *whole)
    if "protobuf" in request.node.callspec.id:
        kind = ("convert", DESCRIPTORS, "--type", "scoring.v1.Decision")
        value = run(
            Path(sys.executable).parent / "buf",
            *kind,
            "--from",
            "-#format=binpb",
            "--to",
            "-#format=json",
            stdin=value,
        )
    assert_read(value)
