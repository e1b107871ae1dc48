"""Load as it comes in life: arrivals do not wait for answers.

Latency counts from the intended moment of sending, so a slow server cannot hide
behind a generator that waits for it (coordinated omission).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from load_tests.fine_timer import FineTimer

# A generator later than this at its 99th percentile measured itself: void.
LAG_MS_P99_MAX = 1.0

Call = Callable[[int], Awaitable[str]]


@dataclass(slots=True)
class Run:
    """What one run saw; `statuses` counts what each call returned as its status."""

    latencies_ms: list[float] = field(default_factory=list)
    lags_ms: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    ok_ms: list[float] = field(default_factory=list)

    def note(self, status: str, latency_ms: float) -> None:
        """Count one call."""
        self.latencies_ms.append(latency_ms)
        self.statuses[status] += 1
        if status == "OK":
            self.ok_ms.append(latency_ms)

    def decided_within_ms(self, limit_ms: float) -> int:
        """Calls that were answered with a decision in time."""
        return sum(ms <= limit_ms for ms in self.ok_ms)

    @property
    def void(self) -> bool:
        """Whether the generator itself was late."""
        return percentile(self.lags_ms, 99) > LAG_MS_P99_MAX

    def summary(self) -> dict[str, float | int | bool | dict[str, int]]:
        """Figures for a report."""
        return {
            "calls": len(self.latencies_ms),
            "per_s": round(len(self.latencies_ms) / max(self.seconds, 1e-9), 1),
            "p50_ms": round(percentile(self.latencies_ms, 50), 3),
            "p99_ms": round(percentile(self.latencies_ms, 99), 3),
            "max_ms": round(max(self.latencies_ms, default=0.0), 3),
            "lag_p99_ms": round(percentile(self.lags_ms, 99), 3),
            "void": self.void,
            "statuses": dict(self.statuses),
        }


def percentile(values: list[float], percent: float) -> float:
    """Nearest-rank percentile; 0 of nothing.

    >>> percentile([3.0, 1.0, 2.0], 50)
    2.0
    """
    if not values:
        return 0.0
    ordered = sorted(values)
    rank = round(percent / 100 * (len(ordered) - 1))
    return ordered[rank]


def arrivals(*, per_s: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the start at which a Poisson process sends.

    >>> times = arrivals(per_s=100, seconds=10, seed=1)
    >>> 900 < len(times) < 1100, times == sorted(times)
    (True, True)
    """
    chance = random.Random(seed)
    at_s, times = 0.0, []
    while (at_s := at_s + chance.expovariate(per_s)) < seconds:
        times.append(at_s)
    return times


async def open_loop(
    call: Call, *, per_s: float, seconds: float, seed: int, warm_up_share: float = 0.2
) -> Run:
    """Send Poisson arrivals; the first `warm_up_share` of them is not counted."""
    times = arrivals(per_s=per_s, seconds=seconds, seed=seed)
    skipped = int(len(times) * warm_up_share)
    run = Run(seconds=seconds * (1 - warm_up_share))
    started = time.perf_counter() + 0.01
    pending: set[asyncio.Task[None]] = set()

    async def one(index: int, intended: float) -> None:
        status = await call(index)
        if index >= skipped:
            run.note(status, (time.perf_counter() - intended) * 1e3)

    loop = asyncio.get_running_loop()
    with FineTimer() as timer:
        for index, at_s in enumerate(times):
            intended = started + at_s
            await timer.until(intended)
            if index >= skipped:
                run.lags_ms.append((time.perf_counter() - intended) * 1e3)
            task = loop.create_task(one(index, intended))
            pending.add(task)
            task.add_done_callback(pending.discard)
    if pending:
        await asyncio.wait(pending, timeout=30)
    return run


async def closed_loop(call: Call, *, in_flight: int, seconds: float) -> Run:
    """Keep `in_flight` calls going: for CPU per call and saturation, not latency."""
    run = Run(seconds=seconds)
    ends = time.perf_counter() + seconds
    counter = iter(range(10**9))

    async def worker() -> None:
        while (began := time.perf_counter()) < ends:
            status = await call(next(counter))
            run.note(status, (time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return run
