"""Labels in the real store: they have its time, and stand in order."""

import asyncio
import random
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from store_parts import connected
from streams import DAY_MS, PAID, START_MS, check

from scoring.ports.follow_ups import LabelledTransaction
from scoring.stores.redis.connection import StoreSilent


async def test_labels_wait_for_a_store_that_works_for_longer_than_payments_may(
    own_store, store_namespace
):
    """Given up and sent again, a thousand labels kept it busy for ever."""
    store = await connected(own_store.url, store_namespace, silence_s=0.05)
    label = LabelledTransaction(
        transaction=PAID, version=1, fraud=True, known_at_ms=START_MS + DAY_MS
    )
    for ask in (
        lambda: store.payments([(PAID.tenant, PAID.id)], timeout_s=10),
        lambda: store.attest([label], timeout_s=10),
        lambda: store.learn([label], timeout_s=10),
    ):
        own_store.child.pause()
        asked = asyncio.ensure_future(ask())
        with pytest.raises(StoreSilent):
            await store.observe([check(PAID)], timeout_s=10)
        own_store.child.resume()
        assert len(await asked) == 1
    await store.close()


async def test_labels_stand_in_order_and_once_in_whatever_order_they_come(
    store_url, store_namespace
):
    paid = [
        replace(PAID, id=f"t{i}", occurred_at_ms=START_MS + i // 3) for i in range(60)
    ]
    labels = [
        LabelledTransaction(
            transaction=t, version=version, fraud=True, known_at_ms=START_MS + DAY_MS
        )
        for t in paid
        for version in (1, 2)
    ]
    store = await connected(store_url, store_namespace)
    for seed in (1, 2):
        await store.learn(random.Random(seed).sample(labels, len(labels)))
    await store.close()
    async with Redis.from_url(store_url) as redis:
        keys = [key async for key in redis.scan_iter(f"{store_namespace}:*:l")]
        kept = [await redis.get(key) for key in keys]
    assert kept
    for text in kept:
        places = [text[at : at + 18] for at in range(6, len(text), 30)]
        assert len(places) == len(labels)
        assert places == sorted(set(places))
