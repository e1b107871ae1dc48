"""A cluster's history: part of it lost, all of it rebuilt, an entity forgotten."""

import random

import pytest
from history_parts import DEDUPE_S, cells, rebuilt, same
from redis.asyncio import Redis
from stream_parts import create_topics
from streams import Shape, check, labels, transactions

from scoring.core.features.catalogue import default_catalogue
from scoring.embedded.broker import FETCH_WAIT_MS
from scoring.errors import BadArtifact, StoreUnavailable
from scoring.history.forget import Entity, forget
from scoring.history.topic_archiver import silent
from scoring.history.wiring import store_to_fill, update_archive
from scoring.ports.history import Applied
from scoring.settings import Settings

CATALOGUE = default_catalogue()


@pytest.fixture
async def settings(shared_cluster, embedded_bootstrap, topic_prefix, store_namespace):
    await create_topics(embedded_bootstrap, topic_prefix, partitions=2)
    return Settings(
        redis_url=shared_cluster.url,
        redis_cluster=True,
        kafka_bootstrap=embedded_bootstrap,
        topic_prefix=topic_prefix,
        namespace=store_namespace,
        fetch_wait_ms=FETCH_WAIT_MS,
        dedupe_s=DEDUPE_S,
    )


async def state(cluster, namespace):
    """Every key of an entity or a decision, with its value."""
    found = {}
    for node in cluster.nodes:
        async with Redis(port=node.port) as redis:
            async for key in redis.scan_iter(f"{namespace}:*", count=1_000):
                if b":processed" not in key:
                    (found[key],) = await redis.mget(key)  # None for a hash
    return found


async def test_a_lost_part_keeps_everybody_out_until_all_is_rebuilt(
    life, settings, archive, shared_cluster
):
    rnd, shape = random.Random(11), Shape(count=300, labelled=0.4)
    stream = transactions(rnd, shape)
    await life.pay(stream, rnd)
    await life.learn(labels(rnd, stream, shape), bare=True)
    before = await state(shared_cluster, settings.namespace)
    was = await cells(life.store, stream)

    async with Redis(port=shared_cluster.nodes[1].port) as redis:
        await redis.flushall()
    with pytest.raises(StoreUnavailable, match="history"):
        await life.store.observe([check(t) for t in stream])
    with pytest.raises(BadArtifact, match="--wipe"):
        await rebuilt(settings, archive)
    async with store_to_fill(settings, CATALOGUE) as store:
        await store.set_mark("wiped")
        await store.wipe()
    assert not await state(shared_cluster, settings.namespace)

    done = await rebuilt(settings, archive)

    assert done.transactions == len(stream)
    compared, wrong = same(was, await cells(life.store, stream))
    assert compared > 10_000
    assert wrong == 0
    assert await state(shared_cluster, settings.namespace) == before
    seen = await life.store.observe([check(t) for t in stream])
    assert {o.applied for o in seen} == {Applied.REPEATED}
    assert [o.stored for o in seen] == [life.decided[t.id] for t in stream]


async def test_an_entity_is_forgotten_on_whichever_servers_it_stands(
    life, settings, archive, shared_cluster
):
    rnd = random.Random(2)
    stream = transactions(rnd, Shape(count=80))
    await life.pay(stream, rnd)
    archive.prepare()
    await update_archive(settings, archive, silent)
    card = next(t.card for t in stream if t.card)
    async with store_to_fill(settings, CATALOGUE) as store:
        forgotten = await forget(
            Entity("default", "card", card), archive, store, CATALOGUE
        )
    assert forgotten.state_keys > 0
    assert forgotten.decisions == len({t.id for t in stream if t.card == card})
    kept = await state(shared_cluster, settings.namespace)
    assert not [key for key in kept if f"{{card:default:{card}}}".encode() in key]
