"""What only the real store can show: damage, restarts, timeouts, lost functions."""

import asyncio
import random
import time
from dataclasses import replace

import numpy as np
import pytest
from redis.asyncio import Redis
from store_parts import connected, on_disk
from streams import DAY_MS, PAID, START_MS, Shape, check, transactions

from scoring.core.decision.decision import DegradationCode
from scoring.core.features.catalogue import default_catalogue
from scoring.errors import BadArtifact, StoreLate, StoreUnavailable
from scoring.ports.history import Applied
from scoring.stores.redis.connection import RedisConnection, StoreSilent
from scoring.stores.redis.script_client import Calls

CATALOGUE = default_catalogue()


@pytest.fixture
async def client(store_url):
    async with Redis.from_url(store_url) as redis:
        yield redis


@pytest.fixture
async def store(store_url, store_namespace):
    made = await connected(store_url, store_namespace)
    yield made
    await made.close()


def places(entity):
    plan = next(p for p in CATALOGUE.plans if p.name == entity)
    return slice(plan.first_slot, plan.first_slot + len(plan.slots))


def later(i):
    return replace(PAID, id=f"later-{i}", occurred_at_ms=START_MS + i * 1_000)


async def keys_of(client, namespace, pattern):
    return [key async for key in client.scan_iter(f"{namespace}:*{pattern}")]


async def a_list(client, key, _value):
    await client.delete(key)
    await client.rpush(key, "not ours")


async def foreign_text(client, key, _value):
    await client.set(key, b"hello")


async def cut_short(client, key, value):
    await client.set(key, value[:-3])


async def one_byte_changed(client, key, value):
    middle = len(value) - 20
    changed = value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
    await client.set(key, changed)


@pytest.mark.parametrize("damage", [a_list, foreign_text, cut_short, one_byte_changed])
@pytest.mark.parametrize("part", ["e", "s"])
async def test_damage_degrades_its_entity_and_never_gives_a_wrong_number(
    damage, part, store, client, store_namespace
):
    await store.observe([check(PAID)])
    (key,) = await keys_of(client, store_namespace, f"{{card:default:c1}}:{part}")
    await damage(client, key, await client.get(key))
    (seen,) = await store.observe([check(later(1))])
    (degradation,) = seen.degradations
    assert degradation.code is DegradationCode.HISTORY_CORRUPT
    assert degradation.detail.startswith("card")
    assert np.isnan(seen.values[places("card")]).all()
    assert seen.values[places("customer")][0] == 2


async def test_a_foreign_decision_key_is_named_and_replaced(
    store, client, store_namespace
):
    await client.rpush(f"{store_namespace}:d:default:t1", "not ours")
    (seen,) = await store.observe([check(PAID)])
    assert [d.detail for d in seen.degradations] == ["decision"]
    assert seen.applied is Applied.COUNTED
    (again,) = await store.observe([check(PAID)])
    assert again.applied is Applied.REPEATED


async def test_an_empty_decision_key_is_not_taken_for_another_payload(
    store, client, store_namespace
):
    await client.set(f"{store_namespace}:d:default:t1", b"")
    (seen,) = await store.observe([check(PAID)])
    assert [d.detail for d in seen.degradations] == ["decision"]
    assert seen.applied is Applied.COUNTED


async def test_every_key_expires(store, client, store_namespace):
    await store.observe([check(PAID)])
    keys = [
        k for k in await keys_of(client, store_namespace, "") if b"processed" not in k
    ]
    assert len(keys) >= 10
    lives_ms = [await client.pttl(key) for key in keys]
    assert min(lives_ms) > CATALOGUE.retention_ms


async def test_redelivery_leaves_every_byte_as_it_was(store, client, store_namespace):
    stream = transactions(random.Random(3), Shape(count=200))
    first = await store.observe([check(t) for t in stream])
    keys = sorted(await keys_of(client, store_namespace, "}:[es]"))
    before = await client.mget(keys)
    again = await store.observe([check(t) for t in stream])
    assert await client.mget(keys) == before
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.values, b.values, equal_nan=True)
        assert a.inexact == b.inexact


async def test_an_entity_counts_a_payment_once_even_without_its_claim(
    store, client, store_namespace
):
    await store.observe([check(PAID)])
    await client.delete(f"{store_namespace}:d:default:t1")
    (again,) = await store.observe([check(PAID)])
    assert again.values[places("card")][0] == 1
    (after,) = await store.observe([check(later(1))])
    assert after.values[places("card")][0] == 2


async def test_an_eviction_policy_is_refused_at_start(own_store, store_namespace):
    async with Redis.from_url(own_store.url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(BadArtifact, match=r"allkeys-lru.*noeviction"):
        await connected(own_store.url, store_namespace)


async def test_functions_lost_by_the_server_are_loaded_again(
    own_store, store_namespace
):
    store = await connected(own_store.url, store_namespace)
    async with Redis.from_url(own_store.url) as redis:
        await redis.function_flush()
    (seen,) = await store.observe([check(PAID)])
    assert seen.applied is Applied.COUNTED
    await store.close()


async def test_who_has_no_time_for_the_program_to_be_loaded_is_told_and_it_goes_on(
    own_store, store_namespace, monkeypatch
):
    store = await connected(own_store.url, store_namespace)
    go_on, load, begun = asyncio.Event(), Calls._load, []

    async def slowly(self, node):
        begun.append(node)
        await go_on.wait()
        return await load(self, node)

    monkeypatch.setattr(Calls, "_load", slowly)
    async with Redis.from_url(own_store.url) as redis:
        await redis.function_flush()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="being loaded"):
            await store.observe([check(PAID)], timeout_s=0.3)
    go_on.set()
    (seen,) = await store.observe([check(PAID)])
    assert seen.applied is Applied.COUNTED
    assert len(begun) == 1
    await store.close()


async def test_a_server_without_functions_runs_the_same_program_as_scripts(
    own_store, store_namespace, monkeypatch
):
    store = await connected(own_store.url, store_namespace)
    (by_function,) = await store.observe([check(PAID)])
    monkeypatch.setattr(Calls, "functions_from", 99)
    scripted = await connected(own_store.url, store_namespace + "-s")
    (by_script,) = await scripted.observe([check(PAID)])
    assert np.array_equal(by_function.values, by_script.values, equal_nan=True)
    async with Redis.from_url(own_store.url) as redis:
        await redis.script_flush()
    (again,) = await scripted.observe([check(later(1))])
    assert again.applied is Applied.COUNTED
    await store.close()
    await scripted.close()


async def test_a_restarted_store_is_found_again_without_a_restart_of_ours(
    own_store, store_namespace
):
    store = await connected(own_store.url, store_namespace)
    await store.observe([check(PAID)])
    await on_disk(own_store.url)
    own_store.stop(kill=True)
    with pytest.raises(StoreUnavailable):
        await store.observe([check(later(1))], timeout_s=1.0)
    own_store.start()
    (seen,) = await store.observe([check(later(2))], timeout_s=5.0)
    assert seen.applied is Applied.COUNTED
    await store.close()


async def test_a_caller_gone_away_never_shifts_the_answers_of_others(store_url):
    async with Redis.from_url(store_url) as redis:
        connection = RedisConnection(redis)
        rnd = random.Random(1)

        async def echo(i):
            commands = [(b"ECHO", f"{i}-{n}") for n in range(3)]
            timeout_s = rnd.choice((0.0, 0.000_1, 5.0, 5.0, 5.0))
            try:
                replies = await connection.exchange(commands, timeout_s=timeout_s)
            except StoreUnavailable:
                return "late"
            assert replies == [f"{i}-{n}".encode() for n in range(3)]
            return "answered"

        ended = []
        for _ in range(20):
            tasks = [asyncio.create_task(echo(i)) for i in range(50)]
            await asyncio.sleep(0)
            for task in rnd.sample(tasks, 10):
                task.cancel()
            ended += await asyncio.gather(*tasks, return_exceptions=True)
        assert {"answered", "late"} <= {e for e in ended if isinstance(e, str)}
        wrong = [e for e in ended if isinstance(e, AssertionError)]
        assert not wrong
        await connection.close()


async def test_a_busy_loop_reads_before_it_blames_the_store(store_url):
    async with Redis.from_url(store_url) as redis:
        connection = RedisConnection(redis)
        await connection.exchange([(b"PING",)], timeout_s=5.0)
        asked = asyncio.create_task(
            connection.exchange([(b"ECHO", b"in time")], timeout_s=0.05)
        )
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - the loop is what is late here
        assert await asked == [b"in time"]
        await connection.close()


async def test_a_server_that_works_for_long_is_slow_and_not_silent(store_url):
    async with Redis.from_url(store_url) as redis:
        connection = RedisConnection(redis)
        spins = "local n = 0; for i = 1, 200000 do n = n + i end; return ARGV[1]"
        asked = [(b"EVAL", spins, 0, "x" * 1_200)] * 300
        began = time.monotonic()
        replies = await connection.exchange(asked, timeout_s=60, silence_s=0.15)
        assert len(replies) == 300
        assert time.monotonic() - began > 0.15
        await connection.close()


async def test_a_silent_server_is_told_from_a_caller_in_a_hurry(own_store):
    async with Redis.from_url(own_store.url) as redis:
        connection = RedisConnection(redis)
        await connection.exchange([(b"PING",)], timeout_s=5)
        own_store.child.pause()
        with pytest.raises(StoreLate):
            await connection.exchange([(b"PING",)], timeout_s=0.1, silence_s=0.3)
        with pytest.raises(StoreSilent, match="no word"):
            await connection.exchange([(b"PING",)], timeout_s=10, silence_s=0.3)
        own_store.child.resume()
        await connection.close()


async def test_a_store_that_is_away_is_named_with_the_setting_that_names_it():
    named = r"^no store answers: .*127\.0\.0\.1:1\b.*; see SCORING_REDIS_URL$"
    with pytest.raises(StoreUnavailable, match=named):
        await connected("redis://127.0.0.1:1/0", "away")


async def test_replies_of_a_connection_that_was_given_up_answer_nobody(store_url):
    """As after READONLY: what had come in the same instant is nobody's any more."""
    async with Redis.from_url(store_url) as redis:
        connection = RedisConnection(redis)
        await connection.connect()
        stream, reading = connection._connection._reader, connection._reader
        given_up = connection.send([(b"ECHO", b"old")])
        connection.drop("it is a replica now")
        stream.feed_data(b"+old\r\n")
        with pytest.raises(StoreUnavailable, match="replica"):
            await given_up
        replies = await connection.exchange([(b"ECHO", b"new")], timeout_s=5)
        assert replies == [b"new"]
        await reading
        await connection.close()


async def test_a_reply_that_nobody_asked_for_ends_the_connection_with_a_reason(
    store_url,
):
    async with Redis.from_url(store_url) as redis:
        connection = RedisConnection(redis)
        await connection.connect()
        reading = connection._reader
        connection._connection._reader.feed_data(b"+unasked\r\n")
        await reading
        assert not connection.connected
        replies = await connection.exchange([(b"ECHO", b"new")], timeout_s=5)
        assert replies == [b"new"]
        await connection.close()


async def test_a_future_payment_within_the_skew_evicts_no_history(store):
    await store.observe([check(PAID)])
    ahead = replace(later(0), id="ahead", occurred_at_ms=START_MS + 300_000)
    await store.observe([check(ahead)])
    present = later(1)
    (seen,) = await store.observe([check(present)])
    assert seen.applied is Applied.COUNTED
    assert seen.values[places("card")][0] == 2


async def test_the_memory_of_the_busiest_entity_is_bounded(
    store, client, store_namespace
):
    rnd = random.Random(2)
    busy = [
        replace(
            PAID,
            id=f"b{i}",
            occurred_at_ms=START_MS + i * (DAY_MS // 50),
            merchant=f"m{rnd.randrange(1_000)}",
            amount_minor=rnd.randrange(100, 100_000),
        )
        for i in range(1_500)
    ]
    for i in range(0, len(busy), 100):
        seen = await store.observe([check(t) for t in busy[i : i + 100]])
        assert not any(observation.degradations for observation in seen)
    keys = await keys_of(client, store_namespace, "{card:default:c1}:[esl]")
    sizes = [await client.strlen(key) for key in keys]
    assert sum(sizes) <= 65_536
