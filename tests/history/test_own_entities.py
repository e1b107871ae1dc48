"""Entities of the caller's own in a history: warmed, rebuilt, labelled, forgotten."""

import random

from catalogues import OTHERS
from history_parts import cells, connected, rebuilt, same, state
from streams import Shape, check, labels, transactions

from scoring.history.forget import forget, named_entity
from scoring.history.topic_archiver import silent
from scoring.history.wiring import store_to_fill, update_archive

OWN = OTHERS["own"]


async def test_new_entities_are_warm_when_the_servers_change_to_their_file(
    life, settings, archive
):
    """The live service runs the shipped file; the new one is filled under traffic."""
    rnd, shape = random.Random(21), Shape(count=240, late=0, labelled=0.3)
    stream = transactions(rnd, shape)
    await life.pay(stream[:120], rnd)
    await life.learn(labels(rnd, stream[:120], shape), bare=True)
    later = iter((stream[120:180], stream[180:]))

    async def traffic():
        await life.pay(next(later, []), rnd)

    await rebuilt(settings, archive, catalogue=OWN, marks=False, traffic=traffic)
    for rest in later:
        await life.pay(rest, rnd)
    await rebuilt(settings, archive, catalogue=OWN, marks=False)

    warmed = await connected(settings.redis_url, settings.namespace, OWN)
    always = await connected(settings.redis_url, f"{settings.namespace}-a", OWN)
    await always.observe([check(t) for t in stream])
    await always.learn(life.labelled)
    compared, wrong = same(await cells(always, stream), await cells(warmed, stream))
    assert compared > 5_000
    assert wrong == 0
    # A label by id finds the payment with all that its entities are named by.
    [kept] = await warmed.payments([("default", stream[0].id)])
    assert kept == stream[0]
    await warmed.close()
    await always.close()


async def test_what_a_text_of_the_callers_own_names_is_forgotten(
    life, settings, archive
):
    rnd = random.Random(22)
    stream = transactions(rnd, Shape(count=120, late=0))
    await life.pay(stream, rnd)
    await rebuilt(settings, archive, catalogue=OWN, marks=False)
    own = [t for t in stream if t.attributes.get("Basket") == "b1"]
    assert own
    await update_archive(settings, archive, silent)
    entity = named_entity("basket:b1", "default", OWN)
    assert entity == named_entity("attributes.Basket:b1", "default", OWN)
    async with store_to_fill(settings, OWN) as store:
        gone = await forget(entity, archive, store, OWN)
    assert (gone.decisions, gone.archived) == (len(own), len(own))
    kept = await state(settings.redis_url, settings.namespace)
    of_basket = [
        k for k in kept if b"{basket:" in k or b"{pair:" in k or b"{both:" in k
    ]
    assert of_basket
    assert not [k for k in of_basket if k.split(b"}:")[0].endswith(b"b1")]
