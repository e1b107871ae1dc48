"""A store that lost its history says so: nothing is decided from an empty one."""

from contextlib import suppress
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from store_parts import connected
from streams import PAID, START_MS, check

from scoring.core.decision.decision import Outcome
from scoring.errors import HistoryLost
from scoring.ports.follow_ups import LabelledTransaction
from scoring.ports.history import Applied
from scoring.ports.records import Recording
from scoring.stores.redis.address import StoreAddress

LATER = replace(PAID, id="t2", occurred_at_ms=START_MS + 1)


@pytest.fixture
async def wiped(own_store, store_namespace):
    """A store that decided, and was emptied under its connected client."""
    store = await connected(own_store.url, store_namespace)
    await store.observe([check(PAID)])
    async with Redis.from_url(own_store.url) as redis:
        await redis.flushall()
        yield store, redis
    await store.close()


async def test_a_store_that_was_wiped_counts_nothing_more(wiped):
    store, redis = wiped
    for _ in range(2):
        with pytest.raises(HistoryLost, match="scoring rebuild"):
            await store.observe([check(LATER)])
    keys = [key async for key in redis.scan_iter("*")]
    assert len(keys) == 1, "only the mark stands there"


async def test_a_store_that_was_wiped_shows_no_dry_run_either(wiped):
    store, _ = wiped
    with pytest.raises(HistoryLost, match="scoring rebuild"):
        await store.observe([check(LATER, dry_run=True)])


LABEL = LabelledTransaction(
    transaction=PAID, version=1, fraud=True, known_at_ms=START_MS + 5
)
WRITES = {
    "observe": lambda store: store.observe([check(LATER)]),
    "record": lambda store: store.record([recording(LATER)]),
    "reconcile": lambda store: store.reconcile([check(LATER)], [recording(LATER)]),
    "learn": lambda store: store.learn([LABEL]),
    "ping": lambda store: store.ping(),
}


def recording(t):
    return Recording(
        tenant=t.tenant,
        transaction_id=t.id,
        payload_hash=check(t).payload_hash,
        decision=b"decided",
        logged=b"logged",
        transaction=t,
        outcome=Outcome.REVIEW,
    )


@pytest.mark.parametrize("write", WRITES)
async def test_nothing_is_written_into_a_store_that_was_wiped(wiped, write):
    store, redis = wiped
    with pytest.raises(HistoryLost, match="run `scoring rebuild`"):
        await WRITES[write](store)
    keys = [key async for key in redis.scan_iter("*")]
    assert [key for key in keys if not key.endswith(b":processed")] == []


@pytest.mark.parametrize("write", WRITES)
async def test_nor_into_a_store_that_is_being_rebuilt(wiped, store_namespace, write):
    store, redis = wiped
    await redis.set(f"{store_namespace}:processed", "rebuilding")
    with pytest.raises(HistoryLost, match="being filled"):
        await WRITES[write](store)
    assert await redis.dbsize() == 1


async def test_nor_into_a_cluster_that_was_wiped(own_cluster, store_namespace):
    address = StoreAddress(own_cluster.url, cluster=True)
    store = await connected(address, store_namespace)
    await store.observe([check(PAID)])
    servers = [Redis(port=node.port) for node in own_cluster.nodes]
    for server in servers:
        with suppress(RedisError):  # of a replica: it follows
            await server.flushall()
    for write in WRITES.values():
        with pytest.raises(HistoryLost, match="scoring rebuild"):
            await write(store)
    left = [key for server in servers for key in await server.keys("*")]
    assert [key for key in left if b":processed" not in key] == []
    for server in servers:
        await server.aclose()
    await store.close()


async def test_labels_and_look_ups_wait_for_the_history(wiped):
    store, _ = wiped
    for ask in (
        store.ping(),
        store.learn([LABEL]),
        store.decisions([("default", "t1")]),
    ):
        with pytest.raises(HistoryLost, match="scoring rebuild"):
            await ask


async def test_an_empty_store_beside_a_full_log_is_not_taken_for_a_new_one(
    own_store, store_namespace
):
    async def had_history():
        return True

    store = await connected(own_store.url, store_namespace, had_history=had_history)
    with pytest.raises(HistoryLost, match="scoring rebuild"):
        await store.observe([check(PAID)])
    await store.close()


async def test_a_new_store_beside_an_empty_log_begins_at_once(
    own_store, store_namespace
):
    async def had_history():
        return False

    store = await connected(own_store.url, store_namespace, had_history=had_history)
    (seen,) = await store.observe([check(PAID)])
    assert seen.applied is Applied.COUNTED
    await store.close()
