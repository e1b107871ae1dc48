"""The store is a view: wiped and rebuilt from the log, every feature is what it was."""

import random
from dataclasses import replace
from itertools import islice

import pytest
from history_parts import cells, connected, rebuilt, same, state
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from streams import Shape, check, labels, transactions

from scoring import wire
from scoring.errors import BadArtifact, HistoryLost, StoreUnavailable
from scoring.history.rebuild import Milestones
from scoring.ports.history import Applied
from scoring.ports.patience import StorePatience


async def wipe(settings):
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.flushall()


@pytest.mark.parametrize("content_type", [wire.PROTOBUF, wire.JSON])
async def test_every_cell_and_every_byte_is_what_it_was(
    life, settings, archive, content_type
):
    life.content_type = content_type
    rnd, shape = random.Random(11), Shape(count=500, labelled=0.4)
    stream = transactions(rnd, shape)
    await life.pay(stream, rnd)
    await life.learn(labels(rnd, stream[:250], shape), bare=True)
    await life.learn(labels(rnd, stream[250:], shape), bare=False)
    before = await state(settings.redis_url, settings.namespace)
    was = await cells(life.store, stream)
    await wipe(settings)

    done = await rebuilt(settings, archive)

    assert done.transactions == len(stream)
    compared, wrong = same(was, await cells(life.store, stream))
    assert compared > 10_000
    assert wrong == 0
    assert await state(settings.redis_url, settings.namespace) == before


@pytest.mark.parametrize("clock_ms", [1_000, 60_000])
async def test_ties_are_rebuilt_in_the_order_in_which_they_were_processed(
    life, settings, archive, clock_ms
):
    rnd, shape = random.Random(12), Shape(count=300, late=0.1, clock_ms=clock_ms)
    stream = transactions(rnd, shape)
    await life.pay(stream, rnd)
    await life.learn(labels(rnd, stream, shape), bare=True)
    before = await state(settings.redis_url, settings.namespace)
    was = await cells(life.store, stream)
    await wipe(settings)

    await rebuilt(settings, archive)

    compared, wrong = same(was, await cells(life.store, stream))
    assert compared > 10_000
    assert wrong == 0
    assert await state(settings.redis_url, settings.namespace) == before


async def test_what_was_decided_is_answered_as_before(life, settings, archive):
    rnd = random.Random(3)
    stream = transactions(rnd, Shape(count=120))
    await life.pay(stream, rnd)
    await wipe(settings)
    await rebuilt(settings, archive)
    seen = await life.store.observe([check(t) for t in stream])
    assert {o.applied for o in seen} == {Applied.REPEATED}
    assert [o.stored for o in seen] == [life.decided[t.id] for t in stream]
    assert max(o.processed_seq for o in seen) == 0
    other = replace(stream[0], amount_minor=7)
    (conflict,) = await life.store.observe([check(other)])
    assert conflict.applied is Applied.CONFLICT


async def test_answers_given_meanwhile_are_flagged_and_become_the_record(
    life, settings, archive
):
    rnd = random.Random(5)
    stream = transactions(rnd, Shape(count=300, late=0, repeated=0))
    first, rest = stream[:200], stream[200:]
    await life.pay(first, rnd)
    await wipe(settings)
    answers = await life.decide(rest)
    assert all(answer.provisional for answer in answers)
    another = replace(rest[0], id="through-the-stream")
    life.scorer.gateway.patience = StorePatience.WAIT  # as the stream door
    with pytest.raises(StoreUnavailable):
        await life.scorer.score_many([check(another)])
    life.scorer.gateway.patience = StorePatience.ANSWER_IN_TIME

    await rebuilt(settings, archive)

    while life.provisional.count:
        await life.provisional._recovery
    seen = await life.store.observe([check(t) for t in stream])
    recorded = [wire.recorded(life.decided[t.id]) for t in stream]
    assert [o.stored for o in seen] == recorded, "as answered, and final"
    # The same payments in a store that was never away: the same features.
    clean = await connected(settings.redis_url, f"{settings.namespace}-clean")
    await clean.observe([check(t) for t in stream])
    compared, wrong = same(await cells(clean, stream), await cells(life.store, stream))
    assert compared > 10_000
    assert wrong == 0
    await clean.close()


async def test_a_rebuild_ends_though_the_traffic_does_not(life, settings, archive):
    rnd = random.Random(6)
    stream = transactions(rnd, Shape(count=400, late=0, repeated=0))
    await life.pay(stream[:200], rnd)
    await wipe(settings)
    coming, takes = iter(stream[200:]), 0

    async def traffic():
        nonlocal takes
        takes += 1
        assert takes < 10, "it waits for an end of the traffic"
        await life.decide(list(islice(coming, 5)))

    await rebuilt(settings, archive, traffic=traffic)

    paid = stream[: 200 + 5 * takes]
    while life.provisional.count:
        await life.provisional._recovery
    seen = await life.store.observe([check(t) for t in paid])
    assert {o.applied for o in seen} == {Applied.REPEATED}
    clean = await connected(settings.redis_url, f"{settings.namespace}-clean")
    await clean.observe([check(t) for t in paid])
    compared, wrong = same(await cells(clean, paid), await cells(life.store, paid))
    assert compared > 10_000
    assert wrong == 0
    await clean.close()


async def test_an_interrupted_rebuild_goes_on_and_lets_nobody_at_it(
    life, settings, archive, monkeypatch
):
    rnd, shape = random.Random(8), Shape(count=1_200, late=0.05)
    stream = transactions(rnd, shape)
    await life.pay(stream, rnd)
    before = await state(settings.redis_url, settings.namespace)
    await wipe(settings)
    noted = Milestones.reach

    def interrupted(self, stage, position):
        noted(self, stage, position)
        if stage == "transactions" and position > 600:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Milestones, "reach", interrupted)
        with pytest.raises(KeyboardInterrupt):
            await rebuilt(settings, archive)
    with pytest.raises(HistoryLost, match="being filled by"):
        await life.store.observe([check(replace(stream[0], id="new"))])
    await rebuilt(settings, archive)
    assert await state(settings.redis_url, settings.namespace) == before


@pytest.mark.parametrize("stage", ["transactions", "decisions"])
async def test_a_store_that_is_emptied_while_it_is_filled_is_let_nobody_at(
    life, settings, archive, monkeypatch, stage
):
    stream = transactions(random.Random(4), Shape(count=200))
    await life.pay(stream, random.Random(4))
    before = await state(settings.redis_url, settings.namespace)
    await wipe(settings)
    noted = Milestones.reach

    def emptied(self, reached, position):
        noted(self, reached, position)
        if reached == stage:
            SyncRedis.from_url(settings.redis_url).flushall()

    with monkeypatch.context() as patch:
        patch.setattr(Milestones, "reach", emptied)
        with pytest.raises(HistoryLost):
            await rebuilt(settings, archive)
    with pytest.raises(HistoryLost):
        await life.store.observe([check(replace(stream[0], id="new"))])
    await rebuilt(settings, archive)
    assert await state(settings.redis_url, settings.namespace) == before


async def test_a_store_with_a_history_is_not_overwritten(life, settings, archive):
    await life.pay(transactions(random.Random(1), Shape(count=20)), random.Random(1))
    with pytest.raises(BadArtifact, match="--wipe"):
        await rebuilt(settings, archive)
