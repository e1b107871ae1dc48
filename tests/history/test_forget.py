"""A forgotten entity is gone from the store and the archive; others keep counting."""

import random
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from history_parts import cells, rebuilt, same, state
from redis.asyncio import Redis
from streams import Shape, transactions

from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import FIELDS, PERSONAL_FIELDS
from scoring.errors import BadArtifact
from scoring.history.forget import forget, named_entity
from scoring.history.topic_archiver import silent
from scoring.history.wiring import store_to_fill, update_archive

CATALOGUE = default_catalogue()


async def forgotten(settings, archive, name):
    await update_archive(settings, archive, silent)
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


PERSONAL = {
    "email": "ann@mail.example", "phone": "+4915112345678", "ip": "203.0.113.7",
    "session": "session-ann", "billing_address": "Hauptstr. 5",
    "billing_postal_code": "10115", "shipping_address": "Hafenweg 9",
    "shipping_postal_code": "20457", "payer_account": "DE89370400440532013000",
    "payee_account": "GB82WEST12345698765432",
    "attributes": {"nickname": "ann-of-berlin"},
}  # fmt: skip


def test_every_personal_field_is_tried():
    assert set(PERSONAL) == set(PERSONAL_FIELDS)


@pytest.mark.parametrize(
    "name",
    ["card:c-ann", "customer:ann", "email:Ann@Mail.Example", "phone:+49 151 12345678"],
)
async def test_a_payer_is_forgotten_with_all_that_is_personal_in_their_payments(
    life, settings, archive, name
):
    stream = transactions(random.Random(4), Shape(count=60, late=0))
    ann = [replace(t, card="c-ann", customer="ann", **PERSONAL) for t in stream[10:20]]
    others = [*stream[:10], *stream[20:]]
    await life.pay([*stream[:10], *ann, *stream[20:]], random.Random(4))
    gone = await forgotten(settings, archive, name)
    assert gone.archived == gone.decisions == len(ann)
    everything = b"".join(str(table).encode() for table in tables_of(archive))
    for said in markers():
        assert said.encode() not in everything
    # What names the payer alone is no key of the store; nor are their payments there.
    keys = b"".join(await state(settings.redis_url, settings.namespace))
    named = next(field.name for field in FIELDS if name.startswith(f"{field.name}:"))
    theirs = {named, "email", "phone", "payer_account"}
    for field in theirs & set(PERSONAL):
        assert PERSONAL[field].encode() not in keys
    ids = [("default", t.id) for t in ann]
    assert await life.store.decisions(ids) == [None] * len(ann)
    ids = [("default", t.id) for t in others]
    assert None not in await life.store.decisions(ids)


def markers():
    for said in PERSONAL.values():
        yield from said.values() if isinstance(said, dict) else [said]


def tables_of(archive):
    for path in archive.files("decisions"):
        yield pq.read_table(path, partitioning=None).to_pylist()


@pytest.mark.parametrize("name", ["card", "card:", "colour:red", ""])
def test_what_names_no_entity_is_refused(name):
    with pytest.raises(BadArtifact, match="KIND:TOKEN"):
        named_entity(name, "default", CATALOGUE)
