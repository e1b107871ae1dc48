"""What the tests on a real store share: a client of it, and its acknowledgements."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from streams import DEDUPE_MS, LATENESS_MS

from scoring.core.features.catalogue import Catalogue, default_catalogue
from scoring.ports.store import Store
from scoring.stores.redis.address import StoreAddress
from scoring.stores.redis.store import RedisStore


async def connected(
    address: str | StoreAddress,
    namespace: str,
    catalogue: Catalogue | None = None,
    **options,
) -> RedisStore:
    """A store of the shipped features, unless others are given."""
    terms = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}
    return await RedisStore.connect(
        address,
        catalogue=catalogue or default_catalogue(),
        namespace=namespace,
        **terms | options,
    )


async def outbox_of(store: Store) -> list[tuple[str, str, bytes]]:
    """All that is recorded and not published: tenant, id, logged bytes."""
    return [entry async for page in store.outbox_pages(count=100) for entry in page]


async def replicated(*ports: int) -> None:
    """Until what these primaries have written by now has reached a replica of each.

    Not WAIT: it waits for what its own connection wrote, and this one wrote nothing.
    """
    for port in ports:
        async with Redis(port=port) as client:
            written = (await client.info("replication"))["master_repl_offset"]
            while await reached(client) < written:
                await asyncio.sleep(0.02)


async def reached(client: Redis) -> int:
    """How far the first replica has acknowledged; a primary alone: not at all."""
    replication = await client.info("replication")
    return int(replication["slave0"]["offset"]) if "slave0" in replication else -1


async def on_disk(url: str) -> None:
    """Until a store has synced what it was told: a kill then loses nothing."""
    async with Redis.from_url(url) as client:
        await client.set("told", 1)  # waits for what its own connection wrote
        synced, _ = await client.waitaof(1, 0, 0)
        assert synced == 1
