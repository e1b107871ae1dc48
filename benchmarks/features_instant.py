"""What an instant costs that a coarse clock stamps hundreds of payments with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import numpy as np

from benchmarks.features_cluster import Making
from scoring.core.features.catalogue import Catalogue
from scoring.ports.check import Check
from scoring.stores.redis.store import RedisStore

BATCH = 100
BEFORE, MEASURED = 500, 400
ROUNDS = 7


class Metered(Making, Protocol):
    """What tells the time of the server beside."""

    async def server_cpu_us(self, work: Callable[[], Awaitable[object]]) -> float:
        """CPU of the store's main thread while some work is done."""
        ...


async def instant_of_500(bench: Metered, catalogue: Catalogue, start_ms: int) -> float:
    """Payments that join an instant with 500 others ÷ as many, a millisecond apart."""
    store = await bench.store(catalogue, "instant")
    ratios = []
    for turn in range(ROUNDS):
        used = []
        for apart_ms in (1, 0):
            names = f"c{turn}-{apart_ms}", f"t{turn}-{apart_ms}"
            checks = [
                bench.check(start_ms + i * apart_ms, *names, full=False)
                for i in range(BEFORE + MEASURED)
            ]
            await _observe(store, checks[:BEFORE])
            joining = checks[BEFORE:]
            used.append(await bench.server_cpu_us(lambda c=joining: _observe(store, c)))
        ratios.append(used[1] / used[0])
    await store.close()
    return float(np.median(ratios))


async def _observe(store: RedisStore, checks: list[Check]) -> None:
    for i in range(0, len(checks), BATCH):
        await store.observe(checks[i : i + BATCH])
