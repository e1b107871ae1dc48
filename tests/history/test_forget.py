"""A forgotten entity is gone from the store and the archive; others keep counting."""

import random

import pyarrow.parquet as pq
import pytest
from history_parts import cells, rebuilt, same, state
from redis.asyncio import Redis
from streams import Shape, transactions

from scoring.core.features.catalogue import default_catalogue
from scoring.errors import BadArtifact
from scoring.history.forget import forget, named_entity
from scoring.history.topic_archiver import silent
from scoring.history.wiring import brought, store_to_fill

CATALOGUE = default_catalogue()


async def forgotten(settings, archive, name):
    await brought(settings, archive, silent)
    entity = named_entity(name, "default", CATALOGUE)
    async with store_to_fill(settings, CATALOGUE) as store:
        return await forget(entity, archive, store, CATALOGUE)


def archived_text(archive):
    return b"".join(path.read_bytes() for path in archive.directory.rglob("*.*"))


def archived(archive, field):
    return {
        value
        for path in archive.files("decisions")
        for value in pq.read_table(path, columns=[field], partitioning=None)[
            field
        ].to_pylist()
    }


async def test_state_decisions_and_archive_know_the_card_no_more(
    life, settings, archive
):
    stream = transactions(random.Random(4), Shape(count=150, late=0))
    await life.pay(stream, random.Random(4))
    own = [t for t in stream if t.card == "c1"]
    others = [t for t in stream if t.card != "c1"]
    was = await cells(life.store, others)
    gone = await forgotten(settings, archive, "card:c1")
    assert (gone.decisions, gone.archived) == (len(own), len(own))
    assert gone.newest_ms == max(t.occurred_at_ms for t in own)
    keys = await state(settings.redis_url, settings.namespace)
    assert gone.state_keys > 0
    assert not [key for key in keys if b":{card:default:c1}:" in key]
    assert await life.store.decisions([("default", t.id) for t in own]) == [None] * len(
        own
    )
    assert "c1" not in archived(archive, "card")
    compared, wrong = same(was, await cells(life.store, others))
    assert compared > 1_000
    assert wrong == 0


async def test_what_was_forgotten_does_not_come_back_from_the_topics(
    life, settings, archive
):
    rnd = random.Random(6)
    stream = transactions(rnd, Shape(count=100, late=0))
    await life.pay(stream[:60], rnd)
    await forgotten(settings, archive, "card:c1")
    await life.pay(stream[60:], rnd)
    others = [t for t in stream if t.card != "c1"]
    was = await cells(life.store, others)
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.flushall()
    await rebuilt(settings, archive)
    assert "c1" not in archived(archive, "card")
    keys = await state(settings.redis_url, settings.namespace)
    assert not [key for key in keys if b":{card:default:c1}:" in key]
    compared, wrong = same(was, await cells(life.store, others))
    assert compared > 1_000
    assert wrong == 0


@pytest.mark.parametrize("name", ["card", "card:", "colour:red", ""])
def test_what_names_no_entity_is_refused(name):
    with pytest.raises(BadArtifact, match="KIND:TOKEN"):
        named_entity(name, "default", CATALOGUE)
