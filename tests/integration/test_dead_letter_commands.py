"""`scoring dead-letters`, on letters that the stream door wrote."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer
from stream_parts import NOW_MS, create_topics, transaction
from typer.testing import CliRunner

from scoring import wire
from scoring.cli.dead_letters import app
from scoring.doors.stream.dead_letters import letter_record
from scoring.errors import CardNumberRefused, TransactionConflict
from scoring.kafka.producer import KafkaLog
from scoring.kafka.record_values import Malformed

PAN = b"4111111111111111"
RAW = transaction("t1").SerializeToString()


def record(offset: int, value: bytes, topic: str):
    return SimpleNamespace(
        topic=topic,
        partition=offset % 4,
        offset=offset,
        timestamp=NOW_MS + offset,
        key=b"card-1",
        value=value,
        headers=(("content-type", wire.PROTOBUF.encode()), ("a", b"1")),
    )


@pytest.fixture
def laid_aside(broker, topic_prefix, monkeypatch):
    """Three letters: a conflict, garbage, and one that held a card number."""
    source = f"{topic_prefix}transactions"
    letters = f"{source}.dead-letter"

    async def write():
        await create_topics(broker.bootstrap, topic_prefix)
        log = await KafkaLog.connect(broker.bootstrap)
        refused = [
            (record(0, RAW, source), TransactionConflict("t1"), wire.PROTOBUF),
            (record(1, b"garbage", source), Malformed("no message"), wire.JSON),
            (record(2, PAN, source), CardNumberRefused("card"), wire.PROTOBUF),
        ]
        await log.append(
            [letter_record(r, e, topic=letters, content_type=c) for r, e, c in refused]
        )
        await log.close()

    asyncio.run(write())
    monkeypatch.setenv("SCORING_KAFKA_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("SCORING_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("COLUMNS", "200")
    return source


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("laid_aside")
def test_the_list_names_each_letter_and_counts_reasons():
    shown = run("list")
    for reason in ("CONFLICT: 1", "MALFORMED: 1", "CARD_NUMBER: 1"):
        assert reason in shown
    assert "MALFORMED" not in run("list", "--reason", "CONFLICT")


@pytest.mark.usefixtures("laid_aside")
def test_one_letter_is_shown_in_full_without_card_digits():
    shown = run("show", "2@0")
    assert '"DEAD_LETTER_REASON_CARD_NUMBER"' in shown
    assert PAN.decode() not in shown


@pytest.mark.usefixtures("laid_aside")
def test_a_position_without_a_letter_is_said():
    assert CliRunner().invoke(app, ["show", "3@9"]).exit_code == 1


def test_replay_sends_the_original_bytes_and_leaves_masked_ones(laid_aside, broker):
    assert "sent 2 again" in run("replay", "--yes")

    async def sent():
        consumer = AIOKafkaConsumer(
            bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        consumer.subscribe([laid_aside])
        records = [await consumer.getone() for _ in range(2)]
        await consumer.stop()
        return {(r.key, r.value, dict(r.headers)["a"]) for r in records}

    assert asyncio.run(sent()) == {
        (b"card-1", RAW, b"1"),
        (b"card-1", b"garbage", b"1"),
    }
