"""A store that answers PING and refuses our calls: one line, one outage, no flapping.

Each state is a real one of a real server. While it lasts callers are answered without
history, the stream waits; when it ends all of it recovers by itself, at both doors.
"""

import asyncio
import logging
import shutil
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest
from faust.types import TP
from grpc_parts import open_door, payment
from lifecycle_parts import LIFECYCLE
from redis.asyncio import Redis
from redis.exceptions import RedisError
from store_parts import connected
from streams import PAID, check

from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.doors.stream.admission import Patience
from scoring.doors.stream.poll_consumer import Poll
from scoring.doors.stream.stall_detector import Progress
from scoring.embedded.store import EmbeddedStore
from scoring.errors import StoreUnavailable
from scoring.ports.follow_ups import Attested, TransactionEvent
from scoring.ports.patience import StorePatience
from scoring.telemetry.prometheus import SilentTelemetry

LASTS_S = 1.2  # a probe every 0.1 s: a circuit that flaps has opened often by then


class Counted(SilentTelemetry):
    """Counts named events."""

    def __init__(self):
        self.events = Counter()

    def count(self, event, n=1):
        self.events[event] += n


async def config(redis, **values):
    for name, value in values.items():
        await redis.config_set(name.replace("_", "-"), value)


@asynccontextmanager
async def out_of_memory(redis, _):
    await config(redis, maxmemory="1mb")
    yield "OOM"
    await config(redis, maxmemory="0")


@asynccontextmanager
async def made_a_replica(redis, _):
    await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield "READONLY"
    await redis.execute_command("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def replica_without_its_primary(redis, _):
    await config(redis, replica_serve_stale_data="no")
    await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield "MASTERDOWN|READONLY"
    await redis.execute_command("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def without_enough_replicas(redis, _):
    await config(redis, min_replicas_to_write="1")
    yield "NOREPLICAS"
    await config(redis, min_replicas_to_write="0")


@asynccontextmanager
async def unable_to_save(redis, store):
    await config(redis, save="3600 100000")
    shutil.rmtree(store.directory)  # as a disk that is full or gone
    await redis.bgsave()
    while (await redis.info("persistence"))["rdb_last_bgsave_status"] == "ok":
        await asyncio.sleep(0.02)
    yield "MISCONF"
    await config(redis, stop_writes_on_bgsave_error="no")


@asynccontextmanager
async def forbidding_our_functions(redis, _):
    await redis.execute_command("ACL", "SETUSER", "default", "-fcall")
    yield "can't run this command|NOPERM"
    await redis.execute_command("ACL", "SETUSER", "default", "+fcall")


@asynccontextmanager
async def forbidding_what_only_observing_needs(redis, _):
    """Which no probe can see: each command of the program could be the one."""
    await redis.execute_command("ACL", "SETUSER", "default", "-mget")
    yield "NOPERM|ACL"
    await redis.execute_command("ACL", "SETUSER", "default", "+mget")


@asynccontextmanager
async def forbidding_to_load_what_it_lost(redis, _):
    await redis.execute_command("ACL", "SETUSER", "default", "-function|load")
    await redis.function_flush()
    yield "NOPERM"
    await redis.execute_command("ACL", "SETUSER", "default", "+function|load")


@asynccontextmanager
async def wanting_a_password(redis, _):
    await config(redis, requirepass="another")
    await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    yield "connection lost|authenticated"
    await config(redis, requirepass="")


@asynccontextmanager
async def busy_with_a_script(redis, store):
    await config(redis, busy_reply_threshold="10")
    other = Redis.from_url(store.url)
    endless = asyncio.create_task(other.eval("while true do end", 0))
    await asyncio.sleep(0.1)
    yield "BUSY"
    await redis.script_kill()
    with suppress(RedisError):
        await endless
    await other.aclose()


@asynccontextmanager
async def holding_writes_back(redis, _):
    await redis.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
    yield "no word"
    await redis.execute_command("CLIENT", "UNPAUSE")


STATES = [
    out_of_memory,
    made_a_replica,
    replica_without_its_primary,
    without_enough_replicas,
    unable_to_save,
    forbidding_our_functions,
    forbidding_what_only_observing_needs,
    forbidding_to_load_what_it_lost,
    wanting_a_password,
    busy_with_a_script,
    holding_writes_back,
]


@pytest.fixture
async def own(tmp_path):
    """A Valkey of this test's own, and a connection that rules it."""
    directory = tmp_path / "valkey"
    directory.mkdir()
    store = EmbeddedStore.in_directory(directory)
    store.child.log_file = tmp_path / "valkey.log"
    store.start()
    async with Redis.from_url(store.url) as redis:
        await redis.ping()
        yield store, redis
    store.stop(kill=True)


@asynccontextmanager
async def watched_door(model_dir, url, namespace, caplog):
    """A door on a store, and what it counts and says."""
    caplog.set_level(logging.WARNING, logger="scoring.pipeline.circuit_breaker")
    store = await connected(url, namespace, silence_s=0.3)
    async with open_door(model_dir, store) as door:
        circuit = door.service.scorer.gateway.circuit
        circuit.telemetry = counted = Counted()
        yield door, counted.events
    await store.close()


async def calls_of_grpc(door):
    """Checks, one after the other; whether each was decided in full."""
    while True:
        yield not (await door.check(payment())).core.provisional
        await asyncio.sleep(0.02)


async def polls_of_the_stream(door):
    """The same, as the stream door asks: each is tried until the store answers."""
    patience = Patience(SilentTelemetry(), Progress())
    scorer, poll = door.service.scorer, Poll(TP("transactions", 0), [])
    scorer.gateway.patience = StorePatience.WAIT
    for i in range(100_000):
        checks = [check(replace(PAID, id=f"s{i}"))]
        decide = partial(scorer.score_many, checks)
        deciding = asyncio.create_task(patience.outlast(poll, decide))
        while not deciding.done():
            await asyncio.wait([deciding], timeout=0.05)
            yield deciding.done()


def lines(caplog):
    return [
        r.getMessage()
        for r in caplog.records
        if r.name == "scoring.pipeline.circuit_breaker"
    ]


CASES = [
    pytest.param((state, ask), id=f"{state.__name__}-{ask.__name__}")
    for state in STATES
    for ask in (calls_of_grpc, polls_of_the_stream)
    # The stream has five seconds of patience with a store that only says nothing.
    if (state, ask) != (holding_writes_back, polls_of_the_stream)
]


@pytest.mark.parametrize("case", CASES)
async def test_one_that_refuses_is_named_once_and_recovers_by_itself(
    model_dir, own, store_namespace, caplog, case
):
    (store, redis), (state, ask) = own, case
    loop = asyncio.get_running_loop()
    async with watched_door(model_dir, store.url, store_namespace, caplog) as (
        door,
        events,
    ):
        answers = ask(door)
        assert await anext(answers)
        async with state(redis, store) as reason:
            ends = loop.time() + LASTS_S
            while loop.time() < ends:
                await anext(answers)
            assert not await anext(answers)
            (line,) = lines(caplog)
            assert any(word in line for word in reason.split("|")), line
            assert store.child.address in line
            assert (events["store_unavailable"], events["store_recovered"]) == (1, 0)
        async with asyncio.timeout(10):
            while not (await anext(answers) and events["store_recovered"]):
                pass
        assert events["store_recovered"] == 1
        assert len(lines(caplog)) == 2
        await answers.aclose()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_an_event_that_it_refuses_is_told_again_and_counted_once(
    own, store_namespace, state
):
    server, redis = own
    store = await connected(server.url, store_namespace, LIFECYCLE)
    await store.observe([check(PAID)])
    said_at_ms = PAID.occurred_at_ms + 1
    declined = LifecycleEvent(
        PAID.tenant,
        PAID.id,
        "e1",
        LifecycleKind.ISSUER_DECLINED,
        said_at_ms,
        known_at_ms=said_at_ms,
    )
    told = [TransactionEvent(PAID, declined)]
    async with state(redis, server):
        with pytest.raises(StoreUnavailable):
            await store.learn(told, timeout_s=0.4)
    async with asyncio.timeout(10):
        while not await learned(store, told):
            await asyncio.sleep(0.02)
    assert await learned(store, told)
    later = replace(PAID, id="later", occurred_at_ms=said_at_ms + 1)
    (seen,) = await store.observe([check(later, dry_run=True)])
    place = LIFECYCLE.slot_features.index(("card_declines_1d",))
    assert (seen.values[place], seen.inexact) == (1, ())
    await store.close()


async def learned(store, told):
    try:
        return await store.learn(told, timeout_s=1) == [Attested.STANDS]
    except StoreUnavailable:
        return False


async def test_one_that_loads_its_data_is_named_once_and_recovers_by_itself(
    model_dir, tmp_path, store_namespace, caplog
):
    directory = tmp_path / "valkey"
    directory.mkdir()
    store = EmbeddedStore.in_directory(directory, persist=True)
    store.start()
    async with Redis.from_url(store.url) as redis:
        await redis.mset({f"key-{i}": "x" * 100 for i in range(2_000)})
        await redis.bgrewriteaof()
    async with watched_door(model_dir, store.url, store_namespace, caplog) as (
        door,
        events,
    ):
        answers = calls_of_grpc(door)
        assert await anext(answers)
        slow = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes")
        plain = store.child.command
        store.child.command = lambda port: [*plain(port), *slow, "1024"]
        store.stop()
        assert not await anext(answers)
        store.child.begin()
        async with asyncio.timeout(20):
            while not (await anext(answers) and events["store_recovered"]):
                pass
        assert (events["store_unavailable"], events["store_recovered"]) == (1, 1)
        await answers.aclose()
    store.stop()


async def test_one_that_forgot_our_program_is_told_again_and_nobody_notices(
    model_dir, own, store_namespace, caplog
):
    store, redis = own
    async with watched_door(model_dir, store.url, store_namespace, caplog) as (
        door,
        events,
    ):
        for _ in range(5):
            await redis.function_flush()
            assert not (await door.check(payment())).core.provisional
    assert not events
    assert not lines(caplog)
