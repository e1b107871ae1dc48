"""Lifecycle events are archived, rebuilt, warmed for new definitions, and forgotten."""

import random
from dataclasses import replace
from math import isnan

import duckdb
from history_parts import cells, rebuilt
from lifecycle_parts import LIFECYCLE, events_of
from redis.asyncio import Redis
from streams import DEDUPE_MS, LATENESS_MS, Shape, check, transactions

from scoring.history.forget import forget, named_entity
from scoring.history.wiring import store_to_fill
from scoring.stores.memory.store import MemoryStore
from scoring.stores.redis.store import RedisStore

TERMS = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}


async def lived(life, seed):
    """Payments, and events of them that come twice, bare and whole; what stands."""
    rnd = random.Random(seed)
    stream = transactions(rnd, Shape(count=300, late=0.05))
    await life.pay(stream, rnd)
    told = events_of(rnd, stream)
    half = len(told) // 2
    await life.report(told[:half], bare=True)
    await life.report([*told[half:], *rnd.sample(told, 20)], bare=False)
    first = told[0]
    other = replace(first, event=replace(first.event, amount_minor=77_777))
    await life.report([other], bare=True)  # conflicts: the first is what happened
    return stream, told


async def test_definitions_that_count_events_are_warmed_from_the_log(
    life, settings, archive
):
    stream, told = await lived(life, 21)
    done = await rebuilt(settings, archive, catalogue=LIFECYCLE, marks=False)
    assert (done.transactions, done.events) == (len(stream), len(told))
    await assert_warmed(settings, stream, told)


async def test_definitions_that_are_kept_warm_follow_what_happens_meanwhile(
    life, settings, archive
):
    rnd = random.Random(24)
    stream = transactions(rnd, Shape(count=200, late=0))
    before, since = events_of(rnd, stream[:100]), events_of(rnd, stream[100:])
    await life.pay(stream[:100], rnd)
    await life.report(before, bare=True)

    async def then():
        await life.pay(stream[100:], rnd)
        await life.report(since, bare=True)

    await rebuilt(settings, archive, catalogue=LIFECYCLE, marks=False, then=then)
    await assert_warmed(settings, stream, [*before, *since])


async def assert_warmed(settings, stream, told):
    """The keys of the new definitions are as if these had always counted."""
    warmed = await RedisStore.connect(
        settings.redis_url, catalogue=LIFECYCLE, namespace=settings.namespace, **TERMS
    )
    oracle = MemoryStore(LIFECYCLE, **TERMS)
    await oracle.observe([check(t) for t in stream])
    await oracle.learn(told)
    ours, theirs = await cells(warmed, stream), await cells(oracle, stream)
    await warmed.close()
    exact = wrong = 0
    for (a, inexact), (b, _) in zip(ours, theirs, strict=True):
        for mine, right, names in zip(a, b, LIFECYCLE.slot_features, strict=True):
            if not set(names) & set(inexact):
                exact += 1
                wrong += not (mine == right or (isnan(mine) and isnan(right)))
    assert exact > 5_000
    assert wrong == 0


async def test_a_wiped_store_knows_again_what_happened_to_each_payment(
    life, settings, archive
):
    stream, told = await lived(life, 22)
    keys = [(t.tenant, t.id) for t in stream]
    before = await life.store.lives(keys)
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.flushall()
    done = await rebuilt(settings, archive)
    assert done.events == len(told)
    after = await life.store.lives(keys)
    assert [sorted(one.events) for one in after] == [
        sorted(one.events) for one in before
    ]


async def test_what_happened_to_a_forgotten_card_is_erased(life, settings, archive):
    stream, _ = await lived(life, 23)
    await rebuilt(settings, archive, catalogue=LIFECYCLE, marks=False)
    own = [(t.tenant, t.id) for t in stream if t.card == "c1"]
    assert any(one.events for one in await life.store.lives(own))
    async with store_to_fill(settings, LIFECYCLE) as store:
        entity = named_entity("card:c1", "default", LIFECYCLE)
        await forget(entity, archive, store, LIFECYCLE)
    assert not any(one.events for one in await life.store.lives(own))
    async with Redis.from_url(settings.redis_url) as redis:
        left = [key async for key in redis.scan_iter("*{card.events:default:c1}*")]
        there = [key async for key in redis.scan_iter("*{card.events:default:c2}*")]
        counted = {key async for key in redis.scan_iter("*:c:default:*")}
    assert (left, len(there)) == ([], 2)
    assert counted
    assert not counted & {life.store._layout.counted(*id_) for id_ in own}
    con = duckdb.connect()
    archive.views(con)
    ((embedded,),) = con.execute(
        """SELECT count(transaction) FROM events
        WHERE transaction_id IN (SELECT unnest(?))""",
        [[id_ for _, id_ in own]],
    ).fetchall()
    assert embedded == 0
