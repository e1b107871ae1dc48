"""What a cluster costs our process beside one server, batch by batch, by turns.

Two questions. The same commands, one call for each entity: grouped by slot into a
pipeline for each of three servers, against one plain pipeline to one server. And the
whole of `observe`, where a cluster needs more commands than one server does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from scoring.core.features.catalogue import Catalogue
from scoring.embedded.store_cluster import embedded_cluster
from scoring.ports.check import Check
from scoring.stores.redis.address import StoreAddress
from scoring.stores.redis.calls import count
from scoring.stores.redis.cluster_store import told_of
from scoring.stores.redis.formats import Mode
from scoring.stores.redis.keys import order_of
from scoring.stores.redis.store import RedisStore

BATCH = 100
ROUNDS = 40
_WARM_UP = 5


class Making(Protocol):
    """What makes stores on one server, and payments."""

    made: int

    async def store(self, catalogue: Catalogue, namespace: str) -> RedisStore:
        """A store in a namespace of its own."""
        ...

    def check(self, at_ms: int, customer: str, terminal: str, *, full: bool) -> Check:
        """A payment; `full` names all five entities."""
        ...


async def clustered(
    bench: Making, catalogue: Catalogue, *, start_ms: int
) -> dict[str, float]:
    """CPU of this process on the cluster ÷ on one server, entities met again."""
    single = await bench.store(catalogue, "single")

    def batch() -> list[Check]:
        at_ms = start_ms + bench.made
        return [
            bench.check(at_ms + i, f"c{i % 50}", f"t{i % 20}", full=False)
            for i in range(BATCH)
        ]

    figures = await _figures(single, catalogue, batch)
    await single.close()
    return figures


async def _figures(
    single: RedisStore, catalogue: Catalogue, batch: Callable[[], list[Check]]
) -> dict[str, float]:
    with embedded_cluster(replicas=False) as cluster:
        clustered = await RedisStore.connect(
            StoreAddress(cluster.url, cluster=True),
            catalogue=catalogue,
            namespace="cluster",
            lateness_ms=86_400_000,
            dedupe_ms=10**9,
        )
        stores = {"single": single, "cluster": clustered}
        calls: dict[str, list[float]] = {name: [] for name in stores}
        observed: dict[str, list[float]] = {name: [] for name in stores}
        clock: dict[str, list[float]] = {name: [] for name in stores}
        for _ in range(ROUNDS):
            for name, store in stores.items():
                checks = batch()
                calls[name].append(await _calls_us(store, checks))
                checks = batch()
                used, took = await _observe_us(store, checks)
                observed[name].append(used)
                clock[name].append(took)
        await clustered.close()
    return {
        "cluster_over_single": _ratio(calls),
        "cluster_observe_over_single": _ratio(observed),
        "cluster_observe_wall_over_single": _ratio(clock),
        "cluster_client_us_per_tx": float(np.median(calls["cluster"][_WARM_UP:])),
        "cluster_observe_client_us_per_tx": float(
            np.median(observed["cluster"][_WARM_UP:])
        ),
    }


async def _calls_us(store: RedisStore, checks: list[Check]) -> float:
    """CPU of one call for each entity, made, sent and answered; µs a transaction."""
    layout, program, link = store._layout, store._calls, store._calls.link  # noqa: SLF001
    began = time.process_time()
    commands = []
    for check in checks:
        order = order_of(check.transaction)
        for entity, keys, inputs in layout.known_apart(check.transaction):
            told = told_of(Mode.COUNT, entity, 0, order)
            call = count(*keys, told=told, inputs=[inputs])
            commands.append(program.command(call))
    replies = await link.exchange(commands, timeout_s=5)
    used = time.process_time() - began
    assert not any(isinstance(reply, Exception) for reply in replies)
    return used * 1e6 / len(checks)


async def _observe_us(store: RedisStore, checks: list[Check]) -> tuple[float, float]:
    """CPU and time of a whole observation, kept and all; µs a transaction."""
    began, started = time.process_time(), time.perf_counter()
    await store.observe(checks)
    took = time.perf_counter() - started
    await asyncio.sleep(0.03)  # what is kept in the background is paid for, too
    used = time.process_time() - began
    return used * 1e6 / len(checks), took * 1e6 / len(checks)


def _ratio(taken: dict[str, list[float]]) -> float:
    cluster, single = (np.median(taken[n][_WARM_UP:]) for n in ("cluster", "single"))
    return float(cluster / single)
