"""The last records redelivered, however deep: the state stays, to the byte."""

import os
import random
from dataclasses import replace

import numpy as np
import pytest
from history_parts import connected, state
from redis.asyncio import Redis
from streams import Shape, check, transactions

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
COUNT = 10_000 if NIGHTLY else 1_500
GROUP = 250


def spread(stream, rnd):
    """The stream over many entities, none of them so busy that it is merged."""
    names = {"card": 300, "customer": 300, "merchant": 120, "terminal": 200}
    return [
        replace(
            t, **{field: f"{field}{rnd.randrange(n)}" for field, n in names.items()}
        )
        for t in stream
    ]


async def observed(store, stream):
    seen = []
    for i in range(0, len(stream), GROUP):
        seen += await store.observe([check(t) for t in stream[i : i + GROUP]])
    return seen


@pytest.mark.parametrize("claimed", [True, False], ids=["claims", "claims-expired"])
async def test_state_and_features_are_what_they_were(
    own_store, store_namespace, claimed
):
    rnd = random.Random(17)
    stream = spread(transactions(rnd, Shape(count=COUNT, late=0.02)), rnd)
    store = await connected(own_store.url, store_namespace)
    first = await observed(store, stream)
    before = await entities(own_store.url, store_namespace)
    if not claimed:
        await without_claims(own_store.url, store_namespace)
    again = await observed(store, stream)
    assert await entities(own_store.url, store_namespace) == before
    if claimed:
        for a, b in zip(first, again, strict=True):
            assert np.array_equal(a.values, b.values, equal_nan=True)
    await store.close()


async def entities(url, namespace):
    return {k: v for k, v in (await state(url, namespace)).items() if b":{" in k}


async def without_claims(url, namespace):
    async with Redis.from_url(url) as redis:
        async for key in redis.scan_iter(f"{namespace}:d:*", count=1_000):
            await redis.unlink(key)
