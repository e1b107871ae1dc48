"""What a check costs beside a bare echo of the same messages, in the same minute.

`make bench NAME=grpc`. Ratios are medians of interleaved rounds; the server runs all
work on a real store. Absolute times are for the reader, with machine and date; a run
whose generator lagged by more than 1 ms at p99 is marked void.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.grpc_drive import BATCH, Driver, beside_null, cpu_s, shown
from benchmarks.grpc_overload import overloaded
from benchmarks.stream import trained
from load_tests.open_loop import percentile
from scoring.stores.redis.connection import RedisConnection
from scoring.v1.decision_pb2 import Rung
from scoring.v1.fraud_scoring_pb2 import CheckTransactionResponse

SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
P99_MS_MAX = 5.0
# A bundle to serve instead of training one; and ratios alone, for a busy machine.
MODEL_DIR = os.environ.get("BENCH_MODEL_DIR", "")
RATIOS_ONLY = os.environ.get("BENCH_RATIOS_ONLY", "") == "1"
KINDS = ("unary", "stream", "batch")


@dataclass(slots=True)
class Pair:
    """The service and its null control, driven alike."""

    service: Driver
    control: Driver
    costs: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)

    async def rounds(self) -> None:
        """Measure CPU per transaction, service and control in turn."""
        for kind in KINDS:
            for _ in range(ROUNDS):
                for name, driver in (("null", self.control), ("real", self.service)):
                    cost_us, per_s = await driver.cost_us(kind, SECONDS)
                    self.costs.setdefault(f"{name} {kind}", []).append(cost_us)
                    self.rates.setdefault(f"{name} {kind}", []).append(per_s)

    def cost(self, name: str) -> float:
        """Median CPU microseconds."""
        return statistics.median(self.costs[name])

    def rate(self, name: str) -> float:
        """Median transactions a second, closed loop."""
        return statistics.median(self.rates[name])

    def ratios(self) -> dict[str, float]:
        """The service over its control."""
        real = {kind: self.cost(f"real {kind}") for kind in KINDS}
        null = {kind: self.cost(f"null {kind}") for kind in KINDS}
        return {
            **{f"{kind}_cpu_ratio": real[kind] / null[kind] for kind in KINDS},
            **{f"{kind}_cpu_us": real[kind] for kind in KINDS},
            **{f"{kind}_control_cpu_us": null[kind] for kind in KINDS},
            "stream_over_unary": self.rate("real stream") / self.rate("real unary"),
            "batch_cpu_over_unary": real["batch"] / real["unary"],
        }


async def latencies(pair: Pair) -> dict[str, Any]:
    """p99 at fixed rates, the control's beside it."""
    found: dict[str, Any] = {}
    for name, driver in (("", pair.service), ("control_", pair.control)):
        unary = await driver.paced(per_s=1_000, seconds=3 * SECONDS, seed=1)
        stream = await driver.paced_streams(per_s=3_000, seconds=3 * SECONDS, seed=1)
        for key, run in (("unary_p99_ms_1000", unary), ("stream_p99_ms_3000", stream)):
            found[f"{name}{key}"] = percentile(run.latencies_ms, 99)
            found[f"{name}{key}_void"] = run.void
            found[f"{name}{key}_lag_ms_p99"] = percentile(run.lags_ms, 99)
    return found


async def highest(pair: Pair, kind: str) -> tuple[float, bool]:
    """The highest rate tried whose p99 stays under 5 ms; whether that run is void."""
    best, void = 0.0, False
    for share in (0.05, 0.1, 0.175, 0.25, 0.4, 0.55, 0.7, 0.85):
        per_s = share * pair.rate(f"real {kind}")
        run = await (
            pair.service.paced(per_s=per_s, seconds=2 * SECONDS, seed=2)
            if kind == "unary"
            else pair.service.paced_streams(per_s=per_s, seconds=2 * SECONDS, seed=2)
        )
        if percentile(run.latencies_ms, 99) >= P99_MS_MAX:
            break
        best, void = per_s, run.void
    return best, void


async def under_load(pair: Pair) -> dict[str, Any]:
    """Latencies, and the highest rates in time."""
    found = await latencies(pair)
    for kind in ("unary", "stream"):
        name = f"max_{kind}_rps_p99_5ms"
        found[name], found[f"{name}_void"] = await highest(pair, kind)
    return found


async def redis_client_us(url: str) -> float:
    """CPU of our process for the two exchanges of a check, microseconds."""
    from redis.asyncio import Redis

    connection = RedisConnection(Redis.from_url(url))
    payload, pairs = b"x" * 1_000, 2_000
    before = time.process_time()

    async def check() -> None:
        for _ in range(2):
            await connection.exchange([("ECHO", payload)], timeout_s=5)

    for _ in range(pairs // 20):
        await asyncio.gather(*(check() for _ in range(20)))
    spent = time.process_time() - before
    await connection.close()
    return spent / pairs * 1e6


def proved(driver: Driver) -> dict[str, Any]:
    """That all work ran: what the sampled replies carry."""
    cores = [
        CheckTransactionResponse.FromString(r).decision.core for r in driver.replies
    ]
    full = [c for c in cores if c.rung == Rung.RUNG_FULL and c.versions.model]
    sizes = [
        CheckTransactionResponse.FromString(r).decision.trace.batch_size
        for r in driver.replies
    ]
    return {
        "checks_in_a_batch": statistics.fmean(sizes) if sizes else 0.0,
        "sampled_replies": len(cores),
        "sampled_full": len(full),
        "features_in_a_reply": len(full[0].features) if full else 0,
        "reasons_in_a_reply": len(full[0].reasons) if full else 0,
    }


async def measure(url: str, scratch: Path) -> dict[str, Any]:
    """Start both servers, drive them in turn, and work the figures out."""
    env = {
        "SCORING_REDIS_URL": url,
        "SCORING_MODEL_DIR": MODEL_DIR or str(trained(scratch / "model")),
        "SCORING_STATE_DIR": str(scratch),
        "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
        "SCORING_BUDGET_MS": "30000",
        "SCORING_BATCH_BUDGET_MS": "30000",
        "SCORING_STORE_BUDGET_MS": "20000",
    }
    async with beside_null(env) as (a, b):
        pair = Pair(a, b)
        for driver in (a, b):
            await driver.cost_us("unary", 1.0)  # warm-up
        await pair.rounds()
        found = pair.ratios()
        found["redis_client_share"] = await redis_client_us(url) / found["unary_cpu_us"]
        found |= proved(a)
        if not RATIOS_ONLY:
            found |= await under_load(pair)
            found |= await overloaded(env, 2 * SECONDS)
        found["service_cpu_s"] = cpu_s(a.pid)
    return found | {"batch": BATCH}


if __name__ == "__main__":
    shown(measure)
