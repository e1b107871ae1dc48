"""`scoring tail` and `scoring topics`, on both brokers."""

import asyncio
import json

import pytest
from stream_parts import NOW_MS, Input, create_topics, send, transaction
from typer.testing import CliRunner

from scoring import wire
from scoring.cli import tail, topics
from scoring.core.features.catalogue import default_catalogue
from scoring.kafka.producer import KafkaLog
from scoring.ports.log import LogRecord
from scoring.v1.decision_pb2 import Decision, DecisionCore, Outcome, Versions
from scoring.v1.transaction_pb2 import Transaction

CATALOGUE = default_catalogue()
VECTOR = [7.0, *(float("nan") for _ in CATALOGUE.names[1:])]


def decision(id_: str, outcome: Outcome, score: float) -> Decision:
    return Decision(
        core=DecisionCore(
            transaction_id=id_,
            outcome=outcome,
            score=score,
            features=VECTOR,
            versions=Versions(features=CATALOGUE.version),
        ),
        transaction=Transaction(
            id=id_,
            card=f"card-{id_}",
            currency="EUR",
            occurred_at=wire.timestamp_from_ms(NOW_MS),
        ),
    )


def run(app, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def named(broker, topic_prefix, monkeypatch):
    monkeypatch.setenv("SCORING_KAFKA_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("SCORING_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("COLUMNS", "200")
    return broker


def test_tail_shows_the_decisions_that_are_wanted(named, topic_prefix):
    async def write():
        await create_topics(named.bootstrap, topic_prefix)
        log = await KafkaLog.connect(named.bootstrap)
        for one in (
            decision("a", Outcome.OUTCOME_APPROVE, 0.01),
            decision("b", Outcome.OUTCOME_DECLINE, 0.97),
        ):
            await log.append(
                [
                    LogRecord(
                        topic=f"{topic_prefix}decisions",
                        key=None,
                        value=one.SerializeToString(),
                        headers=(("content-type", wire.PROTOBUF.encode()),),
                    )
                ]
            )
        await log.close()

    asyncio.run(write())
    follow = ("decisions", "--from-beginning", "--plain", "--count")
    assert len(run(tail.app, *follow, "2").splitlines()) == 2
    [line] = run(tail.app, *follow, "1", "--outcome", "decline").splitlines()
    assert line.split("\t")[0] == "b"
    [line] = run(tail.app, *follow, "1", "--entity", "card-a").splitlines()
    assert line.split("\t")[4] == "approve"
    [line] = run(tail.app, *follow, "1", "--min-score", "0.5").splitlines()
    assert line.split("\t")[5] == "0.9700"
    first, *others = CATALOGUE.names
    lines = run(tail.app, *follow, "2", "--json").splitlines()
    for features in (json.loads(line)["features"] for line in lines):
        assert features == {first: 7.0, **dict.fromkeys(others)}


@pytest.mark.usefixtures("named")
def test_topics_are_created_once_and_then_hold_every_guarantee():
    first = run(topics.app, "create", "--partitions", "3")
    assert first.count("created ") == 10
    assert "every guarantee holds" in first
    assert "created " not in run(topics.app, "create", "--partitions", "3")
    assert "every guarantee holds" in run(topics.app, "check")


@pytest.mark.kafka
def test_missing_topics_fail_the_check(kafka_bootstrap, topic_prefix, monkeypatch):
    monkeypatch.setenv("SCORING_KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("SCORING_TOPIC_PREFIX", topic_prefix)
    assert "is missing" in run(topics.app, "check", code=1)


def test_check_samples_the_keys_of_the_newest_transactions(named, topic_prefix):
    good = transaction("t1", card="card-1")

    async def write():
        topic = f"{topic_prefix}transactions"
        inputs = [
            *[Input.of(good, partition=0)] * 3,
            Input(good.SerializeToString(), None, partition=1),
            Input(good.SerializeToString(), b"other", partition=1),
            Input(b"garbage", b"k", partition=1),
        ]
        await send(named.bootstrap, topic, inputs)

    run(topics.app, "create")
    asyncio.run(write())
    shown = run(topics.app, "check")
    assert "1 have no key, 1 another key, 1 are unreadable" in shown
