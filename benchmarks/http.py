"""What a check costs through HTTP/JSON, beside a bare echo and beside gRPC.

`make bench NAME=http`. Both doors are of one process, driven in turn, on a real store;
the echo is uvicorn alone, sent the same bodies. Ratios are medians of interleaved
rounds; a run whose generator lagged by more than 1 ms at p99 is marked void.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from benchmarks.grpc_drive import CONNECTIONS, Driver, cpu_s, shown
from benchmarks.stream import trained
from load_tests.open_loop import Run, closed_loop, open_loop, percentile
from load_tests.priority import going_first
from load_tests.traffic import Traffic

SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
RATE_PER_S = float(os.environ.get("BENCH_RATE", "500"))
MODEL_DIR = os.environ.get("BENCH_MODEL_DIR", "")
IN_FLIGHT = 32
_GRPC, _HTTP = "serving grpc on ", "serving http on "


@contextmanager
def started(
    command: list[str], env: dict[str, str], last: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """A server's pid and its addresses by their lines, once it says `last`."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
    )
    assert process.stdout is not None
    found: dict[str, str] = {}
    try:
        for line in process.stdout:
            for ready in (_GRPC, _HTTP):
                if line.startswith(ready):
                    found[ready] = line.removeprefix(ready).strip()
            if last in found:
                break
        else:
            raise SystemExit(f"{command}: it never answered")
        yield process.pid, found
    finally:
        process.terminate()
        process.wait(30)


@dataclass(slots=True)
class HttpDriver:
    """A caller with kept connections to one server, as many as gRPC's calls need."""

    pid: int
    address: str
    traffic: Traffic = field(default_factory=lambda: Traffic(3))
    bytes_of_reply: int = 0
    _free: asyncio.LifoQueue[Any] = field(default_factory=asyncio.LifoQueue)
    _prepared: deque[bytes] = field(default_factory=deque)

    async def _connection(self) -> Any:
        """One that is free: HTTP/1.1 carries one call at a time on each."""
        if self._free.empty():
            host, _, port = self.address.rpartition(":")
            return await asyncio.open_connection(host, int(port))
        return self._free.get_nowait()

    async def check(self, _index: int) -> str:
        """One check; returns OK, or the status."""
        raw = self._prepared.popleft() if self._prepared else self._made()
        reader, writer = connection = await self._connection()
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        self.bytes_of_reply = len(await reader.readexactly(length))
        self._free.put_nowait(connection)
        status = head[9:12].decode()
        return "OK" if status == "200" else status

    def _made(self) -> bytes:
        said = json_format.MessageToDict(self.traffic.next())
        body = json.dumps(said, separators=(",", ":")).encode()
        return (
            b"POST /v1/checks HTTP/1.1\r\nhost: bench\r\n"
            b"content-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )

    async def cost_us(self) -> float:
        """CPU microseconds of the server a check."""
        before = cpu_s(self.pid)
        run = await closed_loop(self.check, in_flight=IN_FLIGHT, seconds=SECONDS)
        assert set(run.statuses) == {"OK"}, run.statuses
        return (cpu_s(self.pid) - before) / run.statuses["OK"] * 1e6

    async def paced(self) -> Run:
        """Poisson arrivals."""
        seconds = 3 * SECONDS
        count = int(1.1 * RATE_PER_S * seconds) + CONNECTIONS
        self._prepared.extend(self._made() for _ in range(count))
        with going_first():
            return await open_loop(
                self.check, per_s=RATE_PER_S, seconds=seconds, seed=1
            )


async def driven(http: HttpDriver, grpc: Driver, echo: HttpDriver) -> dict[str, Any]:
    """Every figure, in interleaved rounds."""
    costs: dict[str, list[float]] = {"http": [], "grpc": [], "echo": []}
    await http.cost_us()  # warm-up
    await grpc.cost_us("unary", SECONDS)
    for _ in range(ROUNDS):
        costs["http"].append(await http.cost_us())
        costs["grpc"].append((await grpc.cost_us("unary", SECONDS))[0])
        costs["echo"].append(await echo.cost_us())
    median = {name: statistics.median(each) for name, each in costs.items()}
    found: dict[str, Any] = {
        "over_echo": median["http"] / median["echo"],
        "over_grpc_check": median["http"] / median["grpc"],
        "cpu_us": median["http"],
        "grpc_cpu_us": median["grpc"],
        "echo_cpu_us": median["echo"],
        "reply_bytes": http.bytes_of_reply,
        "rate_per_s": RATE_PER_S,
    }
    paced = await grpc.paced(per_s=RATE_PER_S, seconds=3 * SECONDS, seed=1)
    for name, run in (("", await http.paced()), ("grpc_", paced)):
        found[f"{name}p50_ms"] = percentile(run.latencies_ms, 50)
        found[f"{name}p99_ms"] = percentile(run.latencies_ms, 99)
        found[f"{name}void"] = run.void
    return found


async def measure(url: str, scratch: Path) -> dict[str, Any]:
    """Start both servers and drive their three doors."""
    env = {
        "SCORING_REDIS_URL": url,
        "SCORING_MODEL_DIR": MODEL_DIR or str(trained(scratch / "model")),
        "SCORING_STATE_DIR": str(scratch),
        "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
        "SCORING_HTTP_ADDRESS": "127.0.0.1:0",
        "SCORING_BUDGET_MS": "30000",
        "SCORING_STORE_BUDGET_MS": "20000",
    }
    serve = [sys.executable, "-m", "scoring", "serve"]
    bare = [sys.executable, "-m", "benchmarks.http_echo"]
    with (
        started(serve, env, _GRPC) as (pid, at),
        started(bare, {}, _HTTP) as (echo_pid, echo_at),
    ):
        http, echo = HttpDriver(pid, at[_HTTP]), HttpDriver(echo_pid, echo_at[_HTTP])
        async with Driver(pid, at[_GRPC]) as grpc:
            return await driven(http, grpc, echo)


if __name__ == "__main__":
    shown(measure)
