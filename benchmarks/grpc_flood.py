"""What the server answers in time when it is offered more than it can decide.

Unlike in `grpc_overload` nothing is throttled: server, store and generator share the
machine, and every refusal costs what it costs. Before each flood the peak is measured
anew; beside each, the null server is offered as much in the same minute.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.grpc_drive import CONNECTIONS, Driver, beside_null, shown
from benchmarks.grpc_overload import DEADLINE_S, in_time
from benchmarks.stream import trained
from load_tests.open_loop import closed_loop, percentile

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
MODEL_DIR = os.environ.get("BENCH_MODEL_DIR", "")
TIMES = (1.2, 1.5, 2.0)
_PEAK_IN_FLIGHT = 16


async def flooded(service: Driver, null: Driver, times: float) -> dict[str, Any]:
    """Decisions in time over the peak, at a multiple of it; of the null server too."""
    peak = await closed_loop(
        service.unary, in_flight=_PEAK_IN_FLIGHT, seconds=SECONDS / 2
    )
    peak_per_s = in_time(peak)
    name = f"{times:g}".replace(".", "_") + "x"
    found: dict[str, Any] = {f"peak_per_s_{name}": peak_per_s}
    for driver, whose in ((null, "null_"), (service, "")):
        run = await driver.paced(
            per_s=times * peak_per_s, seconds=SECONDS, seed=5, timeout_s=DEADLINE_S
        )
        calls = max(sum(run.statuses.values()), 1)
        found |= {
            f"{whose}goodput_{name}": in_time(run) / max(peak_per_s, 1e-9),
            f"{whose}lag_ms_p99_{name}": percentile(run.lags_ms, 99),
            f"{whose}void_{name}": run.void,
            f"{whose}refused_share_{name}": run.statuses["RESOURCE_EXHAUSTED"] / calls,
            f"{whose}expired_share_{name}": run.statuses["DEADLINE_EXCEEDED"] / calls,
        }
    return found


async def measure(url: str, scratch: Path) -> dict[str, Any]:
    """Start both servers and flood them."""
    env = {
        "SCORING_REDIS_URL": url,
        "SCORING_MODEL_DIR": MODEL_DIR or str(trained(scratch / "model")),
        "SCORING_STATE_DIR": str(scratch),
        "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
    }
    found: dict[str, Any] = {"connections": CONNECTIONS, "deadline_s": DEADLINE_S}
    async with beside_null(env) as (service, null):
        await closed_loop(service.unary, in_flight=CONNECTIONS, seconds=2)
        for times in TIMES:
            found |= await flooded(service, null, times)
    return found


if __name__ == "__main__":
    shown(measure)
