"""What do features cost? Ratios in one run, against yardsticks of the same machine.

Server times are CPU seconds of the store's main thread (INFO cpu), which a busy
machine distorts less than the clock. Two entities x four windows x five statistics,
unless said otherwise.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
from redis.asyncio import Redis

from benchmarks.features_cluster import clustered
from benchmarks.features_instant import instant_of_500
from benchmarks.history import measured
from scoring.core.decision.decision import Door
from scoring.core.features.catalogue import Catalogue, default_catalogue, load_catalogue
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.embedded.store import embedded_store
from scoring.ports.check import Check
from scoring.ports.records import Recording
from scoring.stores.redis.connection import RedisConnection
from scoring.stores.redis.store import RedisStore
from scoring.training.offline.engine import OfflineInput, offline_features

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = 1_600_000_000_000
HISTORY_MS = 30 * DAY_MS
MEASURED = 400
ROUNDS = 7
BATCH = 100
COUNTERPARTS = 10
OFFLINE_ROWS = 200_000
REBUILT_ROWS = 60_000
DECISION_BYTES = 700  # an encoded decision with its vector


def catalogue_of_forty(events_max: int = 512) -> Catalogue:
    """Two entities, four windows, five statistics."""
    features = [
        f"  - {{name: '{entity}_{statistic}_{{window}}', entity: {entity}, "
        f"statistic: {statistic}, windows: [1h, 1d, 7d, 30d], {extra}"
        "reason_group: ANY, description: any}"
        for entity, other in (("customer", "terminal"), ("terminal", "customer"))
        for statistic, extra in (
            ("count", ""), ("sum", ""), ("mean", ""), ("max", ""),
            ("distinct", f"of: {other}, "),
        )
    ]  # fmt: skip
    head = (
        "name: forty\ncurrency: {reference: EUR}\nhorizon: 30d\n"
        f"limits: {{events_max: {events_max}}}\n"
        "entities: {customer: customer, terminal: terminal}\nfeatures:\n"
    )
    return load_catalogue(head + "\n".join(features), name="forty.yaml")


@dataclass
class Bench:
    """A store, a plain client beside it, and chance with a seed."""

    url: str
    client: Redis
    rnd: random.Random
    made: int = 0

    async def store(self, catalogue: Catalogue, namespace: str) -> RedisStore:
        """A store in a namespace of its own."""
        return await RedisStore.connect(
            self.url,
            catalogue=catalogue,
            namespace=namespace,
            lateness_ms=DAY_MS,
            dedupe_ms=10**9,
        )

    def check(self, at_ms: int, customer: str, terminal: str, *, full: bool) -> Check:
        """A payment; `full` names all five entities."""
        self.made += 1
        t = Transaction(
            "default",
            f"x{self.made}",
            occurred_at_ms=at_ms,
            amount_minor=self.rnd.randrange(100, 100_000),
            currency="EUR",
            customer=customer,
            terminal=terminal,
            card=f"card-{customer}" if full else "",
            merchant=f"merchant-{terminal}" if full else "",
            device=f"device-{customer}" if full else "",
        )
        return Check(
            transaction=t,
            payload_hash=payload_hash(t),
            received_at_ms=1,
            door=Door.GRPC,
        )

    async def server_cpu_us(self, work: Callable[[], Awaitable[object]]) -> float:
        """CPU of the store's main thread while some work is done."""
        before = await self.client.info("cpu")
        await work()
        after = await self.client.info("cpu")
        names = ("used_cpu_user_main_thread", "used_cpu_sys_main_thread")
        return sum(after[name] - before[name] for name in names) * 1e6


async def fill(bench: Bench, store: RedisStore, counts: tuple[int, int]) -> None:
    """A month of history: `counts` events for the customer and for the terminal."""
    customer, terminal = counts
    events = [
        (NOW_MS - bench.rnd.randrange(HISTORY_MS), "c", f"t{i % COUNTERPARTS}")
        for i in range(customer)
    ] + [
        (NOW_MS - bench.rnd.randrange(HISTORY_MS), f"c{i % COUNTERPARTS}", "t")
        for i in range(terminal)
    ]
    checks = [bench.check(*event, full=False) for event in sorted(events)]
    for i in range(0, len(checks), 500):
        await store.observe(checks[i : i + 500])


def stream(bench: Bench, *, full: bool = False, after_ms: int = 0) -> list[Check]:
    start_ms = NOW_MS + after_ms
    return [bench.check(start_ms + i, "c", "t", full=full) for i in range(MEASURED)]


async def observe_all(store: RedisStore, checks: list[Check]) -> None:
    for i in range(0, len(checks), BATCH):
        await store.observe(checks[i : i + BATCH])


async def ours_us(bench: Bench, name: str, counts: tuple[int, int]) -> float:
    """Server CPU of one transaction over entities with that much history."""
    store = await bench.store(catalogue_of_forty(), name)
    await fill(bench, store, counts)
    checks = stream(bench)
    used = await bench.server_cpu_us(lambda: observe_all(store, checks))
    await store.close()
    return used / len(checks)


async def flatness(bench: Bench) -> float:
    """100,000 events ÷ 40: the median of rounds that take turns."""
    stores = []
    for name, count in (("small", 40), ("huge", 100_000)):
        stores.append(await bench.store(catalogue_of_forty(), name))
        await fill(bench, stores[-1], (40, count))
    ratios = []
    for turn in range(ROUNDS):
        used = []
        for store in stores:
            checks = stream(bench, after_ms=turn * 1_000)
            work = partial(observe_all, store, checks)
            used.append(await bench.server_cpu_us(work))
        ratios.append(used[1] / used[0])
    for store in stores:
        await store.close()
    return float(np.median(ratios))


async def zset_us(bench: Bench, name: str, counts: tuple[int, int]) -> float:
    """The same by sorted sets."""
    source = Path(__file__).with_name("zset_baseline.lua").read_text()
    sha = await bench.client.script_load(source)
    keys = [f"{name}:c", f"{name}:t"]
    for key, count in zip(keys, counts, strict=True):
        events = {
            f"y{i}:{bench.rnd.randrange(100, 100_000)}:o{i % COUNTERPARTS}": NOW_MS
            - bench.rnd.randrange(HISTORY_MS)
            for i in range(count)
        }
        await bench.client.zadd(key, events)
    calls = 40 if max(counts) > 1_000 else MEASURED

    async def run() -> None:
        for i in range(0, calls, 20):
            pipe = bench.client.pipeline(transaction=False)
            for j in range(i, i + 20):
                pipe.evalsha(sha, 2, *keys, NOW_MS + j, f"z{j}", 500, "o1", "o1")
            await pipe.execute()

    return await bench.server_cpu_us(run) / calls


async def latencies(bench: Bench) -> dict[str, float]:
    """Against one PING round trip of the same connection."""
    store = await bench.store(catalogue_of_forty(), "latency")
    await fill(bench, store, (40, 400))
    pings = [await timed_us(store.ping) for _ in range(1_000)]
    ping_us = float(np.median(pings))
    batches = []
    for i in range(10):
        checks = [
            bench.check(NOW_MS + i * 1_000 + j, "c", "t", full=False)
            for j in range(BATCH)
        ]
        batches.append(
            await timed_us(lambda checks=checks: store.observe(checks)) / BATCH
        )
    singles = []
    for i in range(1_000):
        one = [bench.check(NOW_MS + 60_000 + i, "c", "t", full=False)]
        singles.append(await timed_us(lambda one=one: store.observe(one)))
    connection = RedisConnection(bench.client)
    commands = [(b"ECHO", b"x" * 100) for _ in range(BATCH)]
    await connection.exchange(commands, timeout_s=5)
    began = time.process_time()
    for _ in range(100):
        await connection.exchange(commands, timeout_s=5)
    client_us = (time.process_time() - began) * 1e6 / (100 * BATCH)
    await connection.close()
    await store.close()
    return {
        "ping_us": ping_us,
        "batch_us_per_tx_over_ping": float(np.median(batches)) / ping_us,
        "single_flight_p50_over_ping_p50": float(np.median(singles)) / ping_us,
        "single_flight_p99_over_ping_p50": float(np.percentile(singles, 99)) / ping_us,
        "client_us_per_command": client_us,
    }


async def timed_us(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1e6


async def memory(bench: Bench) -> dict[str, float]:
    """Bytes as Redis counts them, its own overhead included."""
    store = await bench.store(catalogue_of_forty(), "memory")
    await fill(bench, store, (40, 40))
    busiest = await bench.store(default_catalogue(), "busiest")
    merchants = [f"t{bench.rnd.randrange(1_000)}" for _ in range(3_000)]
    checks = [
        bench.check(NOW_MS + i * HISTORY_MS // 3_000, "c", merchant, full=True)
        for i, merchant in enumerate(merchants)
    ]
    sizes = []
    for i in range(0, len(checks), BATCH):  # it is larger before it is made smaller
        await busiest.observe(checks[i : i + BATCH])
        sizes.append(await bytes_of(bench, "busiest:*{card:default:card-c}:*"))
    await busiest.close()
    recorded = [
        Recording(
            tenant="default",
            transaction_id=f"r{i}",
            payload_hash=bytes(32),
            decision=bench.rnd.randbytes(DECISION_BYTES),
        )
        for i in range(100)
    ]
    await store.record(recorded)
    decisions_bytes = await bytes_of(bench, "memory:d:default:r*")
    figures = {
        "bytes_entity_40": await bytes_of(bench, "memory:*{customer:default:c}:*"),
        "bytes_entity_max": max(sizes),
        "bytes_per_recorded_decision": decisions_bytes / len(recorded),
    }
    await store.close()
    return figures


async def bytes_of(bench: Bench, pattern: str) -> float:
    keys = [key async for key in bench.client.scan_iter(pattern, count=10_000)]
    return float(sum([await bench.client.memory_usage(key) for key in keys]))


async def replication(bench: Bench) -> float:
    """Bytes of append-only file for one transaction, entities of 40 and 400."""
    store = await bench.store(catalogue_of_forty(), "replication")
    await fill(bench, store, (40, 400))
    await bench.client.config_set("appendonly", "yes")
    for _ in range(600):  # the file is first written as a whole, beside our work
        if not (await bench.client.info("persistence"))["aof_rewrite_in_progress"]:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    before = (await bench.client.info("persistence"))["aof_current_size"]
    checks = stream(bench)
    await observe_all(store, checks)
    await asyncio.sleep(0.5)
    after = (await bench.client.info("persistence"))["aof_current_size"]
    await bench.client.config_set("appendonly", "no")
    await store.close()
    return float(after - before) / len(checks)


def offline_tx_per_s() -> float:
    """The offline engine, whole default catalogue, for each core (CPU seconds)."""
    con = duckdb.connect()
    con.execute("SET threads = 1")
    con.execute(
        f"""CREATE TABLE payments AS SELECT 'x' || i AS id,
        {NOW_MS} + i * 10000 AS occurred_at_ms, 'EUR' AS currency,
        (hash(i) % 100000)::BIGINT AS amount_minor,
        'c' || hash(i, 1) % 5000 AS customer,
        'k' || hash(i, 1) % 5000 AS card, 't' || hash(i, 2) % 10000 AS terminal,
        'm' || hash(i, 2) % 3000 AS merchant, 'd' || hash(i, 1) % 6000 AS device
        FROM range({OFFLINE_ROWS}) rows(i)"""  # noqa: S608
    )
    began = time.process_time()
    offline_features(con, default_catalogue(), OfflineInput("payments"))
    return OFFLINE_ROWS / (time.process_time() - began)


async def measure() -> dict[str, float]:
    figures: dict[str, float] = {}
    with embedded_store() as url:
        async with Redis.from_url(url) as client:
            bench = Bench(url, client, random.Random(1))
            few = await ours_us(bench, "few", (40, 400))
            figures["server_us_per_tx"] = few
            many = await ours_us(bench, "many", (40, 8_000))
            figures["zset_ratio_400"] = await zset_us(bench, "zfew", (40, 400)) / few
            figures["zset_ratio_8000"] = (
                await zset_us(bench, "zmany", (40, 8_000)) / many
            )
            figures["flatness"] = await flatness(bench)
            apart = catalogue_of_forty(events_max=2_048)  # nothing is merged
            figures["instant_of_500"] = await instant_of_500(bench, apart, NOW_MS)
            full = await bench.store(default_catalogue(), "full")
            await observe_all(full, stream(bench, full=True))
            again = stream(bench, full=True, after_ms=60_000)
            used = await bench.server_cpu_us(lambda: observe_all(full, again))
            figures["server_us_per_tx_default_catalogue"] = used / len(again)
            await full.close()
            figures |= await latencies(bench)
            figures |= await memory(bench)
            figures["replication_bytes_per_tx"] = await replication(bench)
            figures |= await clustered(bench, catalogue_of_forty(), start_ms=NOW_MS)
    figures["offline_tx_per_s"] = offline_tx_per_s()
    return figures


def rebuild_tx_per_s() -> float:
    """A store filled from the archive, the shipped catalogue; see history.py."""
    (cost,) = measured(REBUILT_ROWS, [default_catalogue()]).values()
    return cost["rebuild_tx_per_s"]


def main() -> None:
    figures = asyncio.run(measure())
    figures["rebuild_tx_per_s"] = rebuild_tx_per_s()
    for name, value in figures.items():
        print(f"{name:42} {value:12.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
