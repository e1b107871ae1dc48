"""A store that lost its history says so: nothing is decided from an empty one."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis
from store_parts import connected
from streams import PAID, START_MS, check

from scoring.errors import HistoryLost
from scoring.ports import Applied, LabelledTransaction

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


async def test_labels_and_look_ups_wait_for_the_history(wiped):
    store, _ = wiped
    label = LabelledTransaction(
        transaction=PAID, version=1, fraud=True, known_at_ms=START_MS + 5
    )
    for ask in (
        store.ping(),
        store.learn([label]),
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
