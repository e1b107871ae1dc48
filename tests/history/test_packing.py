"""What is packed offline is what the program makes, to the byte, or it is not used."""

import random

import pytest
from history_parts import cells, connected, rebuilt, same, state
from redis.asyncio import Redis
from streams import Shape, check, transactions

from scoring.core.features.catalogue import handbook_catalogue
from scoring.history import rebuild
from scoring.history.ledger import Ledger
from scoring.history.packing.install import installed, proved
from scoring.history.packing.packer import Packer
from scoring.history.topic_archiver import silent
from scoring.history.wiring import store_to_fill, terms_from, update_archive


@pytest.fixture
async def ledger(life, settings, archive):
    """The ledger of a stream with ties, late and repeated payments."""
    rnd = random.Random(31)
    await life.pay(transactions(rnd, Shape(count=350, late=0.1)), rnd)
    await update_archive(settings, archive, silent)
    made = Ledger(archive, life.catalogue, lateness_ms=terms_from(settings).lateness_ms)
    yield made
    made.close()


async def test_packing_is_proved_by_the_program_and_nothing_is_left_over(
    life, settings, ledger
):
    async with store_to_fill(settings, life.catalogue) as store:
        packer = Packer(ledger, store.layout, store.terms)
        assert packer.sample()
        assert await proved(packer, store)
        was = await state(settings.redis_url, settings.namespace)
        async with Redis.from_url(settings.redis_url) as redis:
            await redis.flushall()
        assert await installed(packer, store, silent) == "false"
    now = await state(settings.redis_url, settings.namespace)
    entities = {key: value for key, value in was.items() if b":{" in key}
    assert {key: value for key, value in now.items() if b":{" in key} == entities


async def test_packing_under_other_definitions_is_proved_too(life, settings, archive):
    stream = transactions(random.Random(32), Shape(count=200))
    await life.pay(stream, random.Random(32))
    other = handbook_catalogue()
    await rebuilt(settings, archive, catalogue=other, marks=False)
    warmed = await connected(settings.redis_url, settings.namespace, other)
    always = await connected(settings.redis_url, f"{settings.namespace}-a", other)
    await always.observe([check(t) for t in stream])
    compared, wrong = same(await cells(always, stream), await cells(warmed, stream))
    assert compared > 1_000
    assert wrong == 0
    await warmed.close()
    await always.close()


@pytest.mark.usefixtures("ledger")
async def test_a_packing_that_went_wrong_is_not_used(settings, archive, monkeypatch):
    was = await state(settings.redis_url, settings.namespace)
    real = Packer.packed

    def wrong(self, *args, **options):
        return [
            type(one)(one.tokens, tuple((k, v + b"x", t) for k, v, t in one.items))
            for one in real(self, *args, **options)
        ]

    async def never(*_):
        raise AssertionError

    monkeypatch.setattr(Packer, "packed", wrong)
    monkeypatch.setattr(rebuild, "installed", never)
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.flushall()
    await rebuilt(settings, archive)
    assert await state(settings.redis_url, settings.namespace) == was
