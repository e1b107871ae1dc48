"""What is answered in time when more is offered than can be decided.

The server is throttled to a known capacity, so that the generator reaches a multiple
of it on fixed connections without being late itself.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.grpc_drive import CONNECTIONS, Driver, started
from load_tests.open_loop import Run, closed_loop, open_loop, percentile
from load_tests.priority import going_first

CAPACITY_PER_S = 100.0
DEADLINE_S = 0.05
TIMES = (1.5, 5.0)
_PEAK_IN_FLIGHT = 3  # all of them fit into the deadline
_REFUSED = "RESOURCE_EXHAUSTED"


async def overloaded(env: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Goodput over the peak at multiples of the capacity, and what a refusal takes."""
    told = {k: v for k, v in env.items() if not k.endswith("BUDGET_MS")}
    server, address = started(
        [sys.executable, "-m", "benchmarks.grpc_throttled", str(CAPACITY_PER_S)], told
    )
    try:
        async with Driver(server.pid, address) as driver:
            await closed_loop(driver.unary, in_flight=CONNECTIONS, seconds=1)  # warm-up
            peak = await closed_loop(
                driver.unary, in_flight=_PEAK_IN_FLIGHT, seconds=seconds
            )
            peak_per_s = in_time(peak)
            found: dict[str, Any] = {
                "overload_capacity_per_s": CAPACITY_PER_S,
                "overload_peak_per_s": peak_per_s,
                "overload_connections": CONNECTIONS,
            }
            for times in TIMES:
                found |= await _at(driver, times, peak_per_s, seconds)
    finally:
        server.send_signal(signal.SIGTERM)
        said, _ = server.communicate(timeout=30)
    refused_ms = json.loads(said.splitlines()[-1])
    return found | {
        "reject_ms_p99": percentile(refused_ms, 99),
        "rejected": len(refused_ms),
    }


async def _at(
    driver: Driver, times: float, peak_per_s: float, seconds: float
) -> dict[str, Any]:
    refused_ms: list[float] = []

    async def call(index: int) -> str:
        began = time.perf_counter()
        status = await driver.unary(index, timeout_s=DEADLINE_S)
        if status == _REFUSED:
            refused_ms.append((time.perf_counter() - began) * 1e3)
        return status

    with going_first():
        run = await open_loop(
            call, per_s=times * CAPACITY_PER_S, seconds=2 * seconds, seed=3
        )
    name = f"{times:g}".replace(".", "_") + "x"
    calls = max(sum(run.statuses.values()), 1)
    return {
        f"goodput_{name}": in_time(run) / max(peak_per_s, 1e-9),
        f"goodput_{name}_void": run.void,
        f"goodput_{name}_lag_ms_p99": percentile(run.lags_ms, 99),
        f"reject_ms_p99_{name}_at_caller": percentile(refused_ms, 99),
        f"refused_share_{name}": run.statuses[_REFUSED] / calls,
        f"expired_share_{name}": run.statuses["DEADLINE_EXCEEDED"] / calls,
    }


def in_time(run: Run) -> float:
    """Decisions within the deadline, a second."""
    return run.decided_within_ms(DEADLINE_S * 1e3) / max(run.seconds, 1e-9)
