"""What only a real cluster can show: parts away, slots that move, lost functions."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from outcomes import OUTCOMES, recorded
from redis.asyncio import Redis
from store_parts import connected, replicated
from streams import PAID, START_MS, Shape, check, labels, transactions

from scoring.core.decision.decision import DegradationCode
from scoring.core.features.catalogue import default_catalogue
from scoring.errors import BadArtifact, StoreUnavailable
from scoring.ports.history import Applied
from scoring.ports.patience import StorePatience
from scoring.stores.redis.address import StoreAddress
from scoring.stores.redis.cluster import slot_of

IN_TIME = StorePatience.ANSWER_IN_TIME
CATALOGUE = default_catalogue()


@pytest.fixture
async def store(cluster_address, store_namespace):
    made = await connected(cluster_address, store_namespace)
    yield made
    await made.close()


def later(i, **changes):
    return replace(
        PAID, id=f"later-{i}", occurred_at_ms=START_MS + i * 1_000, **changes
    )


async def test_a_cluster_sees_what_one_server_sees(
    store, redis_address, store_namespace
):
    rnd, shape = random.Random(5), Shape(count=400)
    stream = transactions(rnd, shape)
    single = await connected(redis_address, store_namespace)
    for i in range(0, len(stream), 40):
        batch = [check(t) for t in stream[i : i + 40]]
        ours, theirs = await store.observe(batch), await single.observe(batch)
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a.values, b.values, equal_nan=True)
            assert (a.applied, a.inexact) == (b.applied, b.inexact)
            assert a.processed_seq == b.processed_seq
        known = labels(rnd, stream[i : i + 40], shape)
        await store.learn(known)
        await single.learn(known)
    await single.close()


async def test_copies_in_one_batch_are_counted_once(store):
    first, copy, after = await store.observe(
        [check(PAID), check(PAID), check(later(1))]
    )
    assert (first.applied, copy.applied) == (Applied.COUNTED, Applied.REPEATED)
    assert np.array_equal(first.values, copy.values, equal_nan=True)
    assert after.values[0] == first.values[0] + 1


async def test_another_payload_in_the_same_batch_counts_nowhere(store):
    other = replace(PAID, card="c2", occurred_at_ms=START_MS + 5)
    _, seen = await store.observe([check(PAID), check(other)])
    assert seen.applied is Applied.CONFLICT
    (after,) = await store.observe([check(later(1, card="c2"))])
    assert after.values[places("card")][0] == 1


def places(entity):
    plan = next(p for p in CATALOGUE.plans if p.name == entity)
    return slice(plan.first_slot, plan.first_slot + len(plan.slots))


async def test_functions_that_one_server_lost_are_loaded_again(store, shared_cluster):
    await store.observe([check(PAID)])
    for node in shared_cluster.nodes[:3]:
        async with Redis(port=node.port) as client:
            await client.function_flush()
    (seen,) = await store.observe([check(later(1))])
    assert seen.applied is Applied.COUNTED
    assert not seen.degradations


async def test_a_slot_that_moves_is_followed(store, shared_cluster, store_namespace):
    """Every state of a move: asked for, key by key, and done."""
    await store.observe([check(PAID)])
    stem = f"{store_namespace}:{CATALOGUE.version[:8]}:{{card:default:c1}}:"
    slot = slot_of(f"{stem}e".encode())
    clients = [Redis(port=node.port) for node in shared_cluster.nodes[:3]]
    ids = [await client.execute_command("CLUSTER", "MYID") for client in clients]
    owner = shared_cluster.primary_of(slot).port
    at = next(i for i, n in enumerate(shared_cluster.nodes) if n.port == owner)
    to = (at + 1) % 3
    source, target = clients[at], clients[to]
    await target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[at])
    await source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
    keys = await source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
    port = shared_cluster.nodes[to].port
    observing = asyncio.create_task(store.observe([check(later(1))]))
    await asyncio.sleep(0.05)
    await source.execute_command(
        "MIGRATE", "127.0.0.1", port, "", 0, 5_000, "KEYS", *keys
    )
    for client, id_ in ((target, ids[to]), (source, ids[to])):
        await client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", id_)
    (seen,) = await observing
    assert seen.values[places("card")][0] == 2
    (seen,) = await store.observe([check(later(2))])
    assert seen.values[places("card")][0] == 3
    for client in clients:
        await client.aclose()


async def test_a_server_that_forgot_its_history_is_not_believed(
    own_cluster, store_namespace
):
    store = await connected(
        StoreAddress(own_cluster.url, cluster=True), store_namespace
    )
    await store.observe([check(PAID)])
    async with Redis(port=own_cluster.primary_of(0).port) as client:
        await client.flushall()
    with pytest.raises(StoreUnavailable, match="history"):
        await store.ping()
    for i in range(20):  # whichever servers they concern
        with pytest.raises(StoreUnavailable, match="history"):
            await store.observe([check(later(i))])
    await store.close()


async def test_a_primary_that_dies_is_missed_and_its_replica_makes_it_whole(
    own_cluster, store_namespace, store_url
):
    stream = busy_minutes(random.Random(4), 300)
    before, during, after = stream[:150], stream[150:200], stream[200:]
    store = await connected(
        StoreAddress(own_cluster.url, cluster=True), store_namespace
    )
    single = await connected(StoreAddress(store_url), store_namespace)
    await store.observe([check(t) for t in before])
    await replicated(*(node.port for node in own_cluster.nodes[:3]))

    own_cluster.primary_of(0).stop(kill=True)
    partial = await store.observe(
        [check(t) for t in during], patience=StorePatience.ANSWER_IN_TIME
    )
    assert Applied.PARTIAL in {o.applied for o in partial}
    codes = {d.code for o in partial for d in o.degradations}
    assert codes == {
        DegradationCode.HISTORY_PARTIAL,
        DegradationCode.HISTORY_UNAVAILABLE,
    }
    with pytest.raises(StoreUnavailable):
        await store.observe([check(t) for t in during])
    await answers(store)

    whole = await store.observe([check(t) for t in during])
    again = await store.observe([check(t) for t in during])
    for first, a, b in zip(partial, whole, again, strict=True):
        assert np.array_equal(a.values, b.values, equal_nan=True)
        assert b.applied is Applied.REPEATED
        if first.applied is Applied.COUNTED:
            assert np.array_equal(first.values, a.values, equal_nan=True)
    ours = await store.observe([check(t) for t in after])
    await single.observe([check(t) for t in before + during])
    theirs = await single.observe([check(t) for t in after])
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a.values, b.values, equal_nan=True)
    await store.close()
    await single.close()


async def test_a_server_that_says_nothing_takes_the_others_away_for_a_moment_only(
    store, shared_cluster
):
    """Its host is gone without a word, or it hangs: no connection is refused."""
    stream = busy_minutes(random.Random(5), 40)
    await store.observe([check(t) for t in stream[:20]])
    silent = shared_cluster.nodes[0]
    silent.pause()
    try:
        seen = None
        while seen is None:
            with suppress(StoreUnavailable):
                seen = await store.observe(
                    [check(t) for t in stream],
                    timeout_s=0.3,
                    patience=StorePatience.ANSWER_IN_TIME,
                )
        assert Applied.PARTIAL in {o.applied for o in seen}
        assert not all(o.degradations for o in seen)
        assert not await store.ping(timeout_s=0.3)
    finally:
        silent.resume()
    await answers(store)
    assert await store.ping()


async def test_an_outcome_not_counted_everywhere_is_its_own_decisions_loss_alone(
    own_cluster, store_namespace, store_url
):
    address = StoreAddress(own_cluster.url, cluster=True)
    store = await connected(address, store_namespace, OUTCOMES)
    single = await connected(StoreAddress(store_url), store_namespace, OUTCOMES)
    checks = [
        check(later(i, card=f"c{i}", device=f"d{i}", merchant=f"m{i}"))
        for i in range(60)
    ]
    decisions = [recorded(c) for c in checks]
    for each in (store, single):
        await each.observe(checks)
    await single.record(decisions)
    await replicated(*(node.port for node in own_cluster.nodes[:3]))

    own_cluster.primary_of(0).stop(kill=True)
    told = await store.record(decisions, patience=IN_TIME)
    assert {r.reached for r in told} == {True, False}
    await answers(store)
    stand = [o.stored is not None for o in await store.observe(checks)]
    both = {(t.reached, stands) for t, stands in zip(told, stand, strict=True)}
    # Some were recorded, and an outcome of theirs was not counted: it is by now.
    assert both == {(True, True), (False, True), (False, False)}
    assert all(r.reached for r in await store.record(decisions))
    after = [
        check(replace(c.transaction, id=f"after-{i}", occurred_at_ms=START_MS + 90_000))
        for i, c in enumerate(checks)
    ]
    ours, theirs = await store.observe(after), await single.observe(after)
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a.values, b.values, equal_nan=True)
    for each in (store, single):
        await each.close()


def busy_minutes(rnd, count):
    """Payments a second apart, of a few cards at a few merchants."""
    return [
        later(
            i,
            card=f"c{rnd.randrange(20)}",
            customer=f"u{rnd.randrange(20)}",
            merchant=f"m{rnd.randrange(8)}",
            terminal=f"x{rnd.randrange(8)}",
            amount_minor=rnd.randrange(100, 9_000),
        )
        for i in range(count)
    ]


async def answers(store):
    """All of it."""
    whole = False
    while not whole:
        await asyncio.sleep(0.05)
        with suppress(StoreUnavailable):
            whole = await store.ping(timeout_s=1.0)


async def test_a_database_other_than_the_only_one_is_refused(cluster_address):
    with pytest.raises(BadArtifact, match="one database"):
        await connected(replace(cluster_address, url=cluster_address.url + "/1"), "x")
