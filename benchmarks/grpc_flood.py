"""What the server answers in time when it is offered more than it can decide.

Unlike in `grpc_overload` nothing is throttled: server, store and generator share the
machine, and every refusal costs what it costs. Before each flood the peak is measured
anew; beside each, the null server is offered as much in the same minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.grpc_drive import CONNECTIONS, Driver, started
from benchmarks.grpc_overload import DEADLINE_S, in_time
from benchmarks.stream import trained
from load_tests.open_loop import closed_loop, percentile
from scoring.embedded.store import embedded_store
from scoring.v1.fraud_scoring_pb2 import CheckTransactionResponse

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
    servers = [started([sys.executable, "-m", "scoring", "serve"], env)]
    found: dict[str, Any] = {"connections": CONNECTIONS, "deadline_s": DEADLINE_S}
    try:
        async with Driver(servers[0][0].pid, servers[0][1]) as service:
            assert await service.unary(0) == "OK"
            reply = CheckTransactionResponse.FromString(service.replies[0])
            canned = scratch / "canned.bin"
            canned.write_bytes(reply.decision.SerializeToString())
            null_command = [sys.executable, "-m", "benchmarks.grpc_null", str(canned)]
            servers.append(started(null_command, {}))
            async with Driver(servers[1][0].pid, servers[1][1]) as null:
                await closed_loop(service.unary, in_flight=CONNECTIONS, seconds=2)
                for times in TIMES:
                    found |= await flooded(service, null, times)
    finally:
        for process, _ in servers:
            process.terminate()
            process.wait(30)
    return found


def main() -> None:
    """Run, show, and end with one line of JSON."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        embedded_store() as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(measure(url, Path(scratch)))
    found |= {"cpus": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}
    for name, value in rounded.items():
        print(f"{name:24} {value}")
    print(json.dumps(rounded))


if __name__ == "__main__":
    main()
