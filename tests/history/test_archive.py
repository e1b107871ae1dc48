"""The archive keeps what the topics held: resumed, idempotent, whole or not at all."""

import random

import duckdb
import pytest
from streams import Shape, transactions

from scoring import wire
from scoring.core.decision import Outcome
from scoring.errors import BadArtifact
from scoring.history.bring import brought
from scoring.history.take import silent
from scoring.topics import decision_record


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
    await brought(settings, archive, silent)
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
    assert (await brought(settings, archive, silent)).rows["decisions"] == 40
    await life.pay(stream[40:], rnd)
    assert (await brought(settings, archive, silent)).rows["decisions"] == 20
    assert (await brought(settings, archive, silent)).rows["decisions"] == 0
    assert archived(archive, "SELECT count(*) FROM decisions") == [(60,)]


async def test_what_an_interrupted_run_left_is_made_again(
    life, settings, archive, monkeypatch
):
    rnd = random.Random(3)
    await life.pay(transactions(rnd, Shape(count=60)), rnd)
    with monkeypatch.context() as patch:

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(type(archive), "_note", killed)
        with pytest.raises(KeyboardInterrupt):
            await brought(settings, archive, silent)
    assert archive.files("decisions"), "nothing was half done: this proves nothing"
    await brought(settings, archive, silent)
    counted = "SELECT count(*), count(DISTINCT id) FROM archived_decisions"
    assert archived(archive, counted) == [(60, 60)]


async def test_a_decision_logged_twice_stands_once(life, settings, archive):
    (t,) = transactions(random.Random(4), Shape(count=1))
    (answer,) = await life.decide([t])
    again = decision_record(
        life.topics, answer.logged, t, content_type=life.content_type
    )
    await life.log.append([again])
    await brought(settings, archive, silent)
    both = "SELECT (SELECT count(*) FROM archived_decisions), count(*) FROM decisions"
    assert archived(archive, both) == [(2, 1)]


async def test_damaged_offsets_are_named_and_never_guessed(settings, archive):
    archive.directory.mkdir()
    (archive.directory / "offsets.json").write_text("{")
    with pytest.raises(BadArtifact, match=r"offsets\.json.*restore it"):
        await brought(settings, archive, silent)
