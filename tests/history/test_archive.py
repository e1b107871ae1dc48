"""The archive keeps what the topics held: resumed, idempotent, whole or not at all."""

import asyncio
import random

import duckdb
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from stream_parts import create_topics
from streams import Shape, transactions

from scoring import wire
from scoring.core.decision.decision import Outcome
from scoring.errors import BadArtifact
from scoring.history.archive import Incarnation
from scoring.history.topic_archiver import silent
from scoring.history.wiring import update_archive
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.producer import KafkaLog


def archived(archive, sql):
    con = duckdb.connect()
    archive.views(con)
    rows = con.execute(sql).fetchall()
    con.close()
    return rows


async def test_a_decision_is_kept_with_payment_vector_and_outcome(
    life, settings, archive
):
    rnd = random.Random(1)
    stream = transactions(rnd, Shape(count=40))
    await life.pay(stream, rnd)
    await update_archive(settings, archive, silent)
    rows = archived(
        archive, "SELECT id, amount_minor, decision, features, outcome FROM decisions"
    )
    assert {row[0] for row in rows} == {t.id for t in stream}
    paid = {t.id: t for t in stream}
    for id_, amount_minor, decision, features, outcome in rows:
        core = wire.decision_from_bytes(decision).core
        assert amount_minor == paid[id_].amount_minor
        assert decision == life.decided[id_]
        assert len(features) == len(core.features) > 0
        assert Outcome[outcome.upper()] == core.outcome


async def test_a_later_run_takes_only_what_came_since(life, settings, archive):
    rnd = random.Random(2)
    stream = transactions(rnd, Shape(count=60))
    await life.pay(stream[:40], rnd)
    assert (await update_archive(settings, archive, silent)).rows["decisions"] == 40
    await life.pay(stream[40:], rnd)
    assert (await update_archive(settings, archive, silent)).rows["decisions"] == 20
    assert (await update_archive(settings, archive, silent)).rows["decisions"] == 0
    assert archived(archive, "SELECT count(*) FROM decisions") == [(60,)]


async def test_what_an_interrupted_run_left_is_made_again(
    life, settings, archive, monkeypatch
):
    rnd = random.Random(3)
    await life.pay(transactions(rnd, Shape(count=60)), rnd)
    with monkeypatch.context() as patch:
        note = type(archive)._note

        def killed(self, name, noted):
            if "decisions" in noted:  # the offsets, not only whose they are
                raise KeyboardInterrupt
            note(self, name, noted)

        patch.setattr(type(archive), "_note", killed)
        with pytest.raises(KeyboardInterrupt):
            await update_archive(settings, archive, silent)
    assert archive.files("decisions"), "nothing was half done: this proves nothing"
    await update_archive(settings, archive, silent)
    counted = "SELECT count(*), count(DISTINCT id) FROM archived_decisions"
    assert archived(archive, counted) == [(60, 60)]


async def test_a_decision_logged_twice_stands_once(life, settings, archive):
    (t,) = transactions(random.Random(4), Shape(count=1))
    (answer,) = await life.decide([t])
    again = DecisionRecords(life.topics).record(answer.logged, t)
    await life.log.append([again])
    await update_archive(settings, archive, silent)
    both = "SELECT (SELECT count(*) FROM archived_decisions), count(*) FROM decisions"
    assert archived(archive, both) == [(2, 1)]


async def test_damaged_offsets_are_named_and_never_guessed(settings, archive):
    archive.directory.mkdir()
    (archive.directory / "offsets.json").write_text("{")
    with pytest.raises(BadArtifact, match=r"offsets\.json.*restore it"):
        await update_archive(settings, archive, silent)


@pytest.mark.kafka
async def test_topics_made_again_are_taken_from_their_start_beside_what_was_taken(
    kafka_bootstrap, settings, life, archive, topic_prefix
):
    """Neither is anything passed over in silence, nor are files written over."""
    await create_topics(kafka_bootstrap, topic_prefix, partitions=2)
    settings = settings.model_copy(update={"kafka_bootstrap": kafka_bootstrap})
    await life.log.close()
    life.log = await KafkaLog.connect(kafka_bootstrap, options={})
    rnd = random.Random(5)
    stream = transactions(rnd, Shape(count=60))
    await life.pay(stream[:40], rnd)
    before = await update_archive(settings, archive, silent)
    offsets = archive.next_offsets()
    await remade(kafka_bootstrap, f"{topic_prefix}decisions")
    await life.pay(stream[40:], rnd)
    after = await update_archive(settings, archive, silent)
    assert (before.rows["decisions"], after.rows["decisions"]) == (40, 20)
    assert before.remade == []
    assert f"{topic_prefix}decisions was made again" in str(after)
    assert archived(archive, "SELECT count(*) FROM decisions") == [(60,)]
    assert (await update_archive(settings, archive, silent)).rows["decisions"] == 0
    ahead = archived(
        archive, "SELECT log_partition, min(log_offset) FROM decisions GROUP BY 1"
    )
    assert {p for p, first in ahead if first == 0} == set(offsets["decisions"])
    newer = sum(
        archive.next_offsets()["decisions"][p] - offset
        for p, offset in offsets["decisions"].items()
    )
    assert newer == 20


async def remade(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    while not (await admin.describe_topics([topic]))[0]["error_code"]:
        await asyncio.sleep(0.1)
    await admin.close()
    await create_topics(bootstrap, "", partitions=2, names=[topic])


async def test_a_topic_shorter_than_what_was_taken_of_it_is_told(
    life, settings, archive
):
    """Where the broker tells no incarnation: never "0 taken" and nothing more."""
    rnd = random.Random(6)
    await life.pay(transactions(rnd, Shape(count=20)), rnd)
    await update_archive(settings, archive, silent)
    archive.take("decisions", 0, [], (5_000, 6_000))
    assert "ends before what was taken of it" in str(
        await update_archive(settings, archive, silent)
    )


async def test_what_an_archive_held_before_it_read_a_topic_hides_nothing_of_it(
    life, settings, archive
):
    """As the archive that `make dev` begins with: of no topic, so counted apart."""
    archive.prepare()
    archive.take("decisions", 0, [], (0, 5_000))
    archive.begin("decisions", Incarnation(base=archive.offsets("decisions")))
    rnd = random.Random(7)
    await life.pay(transactions(rnd, Shape(count=20)), rnd)
    first = await update_archive(settings, archive, silent)
    assert (first.rows["decisions"], first.short, first.remade) == (20, [], [])
    assert (await update_archive(settings, archive, silent)).rows["decisions"] == 0
