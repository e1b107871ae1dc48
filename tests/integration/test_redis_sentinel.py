"""A primary that sentinels name: it fails, they name another, and we follow."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from store_parts import connected, replicated
from streams import PAID, START_MS, check

from scoring.embedded.sentinel import SERVICE, embedded_sentinels
from scoring.errors import BadArtifact, StoreUnavailable
from scoring.ports.history import Applied
from scoring.stores.redis.address import StoreAddress

PASSWORD = "between-sentinels"  # noqa: S105 - of a sentinel that lives for a test


@pytest.fixture
def watched():
    with embedded_sentinels(PASSWORD) as sentinels:
        yield sentinels


def address_of(watched, **changes):
    given = {"sentinels": watched.addresses, "sentinel_password": PASSWORD}
    return StoreAddress(f"redis://{SERVICE}/0", **{**given, **changes})


async def test_a_failover_is_followed_and_nothing_replicated_is_lost(
    watched, store_namespace
):
    store = await connected(address_of(watched), store_namespace)
    await store.observe([check(PAID)])
    await replicated(watched.servers[0].port)
    watched.servers[0].stop(kill=True)
    later = check(replace(PAID, id="t2", occurred_at_ms=START_MS + 1))
    with pytest.raises(StoreUnavailable):
        await store.observe([later], timeout_s=0.5)
    while True:
        try:
            await store.ping(timeout_s=0.5)
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        else:
            break
    (again, seen) = await store.observe([check(PAID), later])
    assert again.applied is Applied.REPEATED
    assert seen.applied is Applied.COUNTED
    assert seen.processed_seq == again.processed_seq + 1
    await store.close()


async def test_a_primary_that_was_demoted_is_left(watched, store_namespace):
    store = await connected(address_of(watched), store_namespace)
    await store.observe([check(PAID)])
    async with Redis(port=watched.sentinels[0].port, password=PASSWORD) as sentinel:
        await sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
    async with Redis(port=watched.servers[0].port) as was:
        while (await was.info("replication"))["role"] != "slave":
            await asyncio.sleep(0.05)
    later, seen = 0, None
    while seen is None:
        later += 1
        t = replace(PAID, id=f"later-{later}", occurred_at_ms=START_MS + later)
        try:
            (seen,) = await store.observe([check(t)], timeout_s=0.5)
        except StoreUnavailable:
            await asyncio.sleep(0.05)
    assert seen.applied is Applied.COUNTED
    async with Redis(port=watched.servers[1].port) as now:
        assert int(await now.get(f"{store_namespace}:processed")) == seen.processed_seq
    await store.close()


async def test_wrong_credentials_of_the_sentinels_are_named(watched, store_namespace):
    address = address_of(watched, sentinel_password="")
    with pytest.raises(BadArtifact, match="SENTINEL_PASSWORD"):
        await connected(address, store_namespace)


async def test_a_primary_that_no_sentinel_knows_is_named(watched, store_namespace):
    address = replace(address_of(watched), url="redis://unknown/0")
    with pytest.raises(StoreUnavailable, match="knows the primary"):
        await connected(address, store_namespace)


@pytest.mark.parametrize(
    ("url", "options", "named"),
    [
        ("redis:///0", {"sentinels": "a:1"}, "name of the primary"),
        ("redis://x/0", {"sentinels": "a:b"}, "SCORING_REDIS_SENTINELS"),
        ("redis://x", {"sentinels": "a:1", "cluster": True}, "SCORING_REDIS_CLUSTER"),
        ("redis://a:b,", {"cluster": True}, "SCORING_REDIS_URL"),
        ("http://x", {}, "redis://"),
    ],
)
async def test_an_address_that_cannot_be_is_refused(url, options, named):
    with pytest.raises(BadArtifact, match=named):
        await connected(StoreAddress(url, **options), "x")
