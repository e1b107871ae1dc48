"""Drives a gRPC server over fixed connections and reads what it costs the server."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import uvloop

from load_tests.fine_timer import FineTimer
from load_tests.light_channel import LightChannel, LightStream
from load_tests.open_loop import Run, arrivals, closed_loop, open_loop
from load_tests.priority import going_first
from load_tests.traffic import Traffic
from scoring.embedded.store import embedded_store
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.transaction_pb2 import Transaction

Measure = Callable[[str, Path], Coroutine[None, None, dict[str, Any]]]
SERVICE = "/scoring.v1.FraudScoring/"
CONNECTIONS = 8
BATCH = 100
STREAM_WINDOW = 32  # unanswered on one stream
_READY = "serving grpc on "


def started(
    command: list[str], env: dict[str, str]
) -> tuple[subprocess.Popen[str], str]:
    """Start a server; returns it and its address once it answers."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(_READY):
            return process, line.removeprefix(_READY).strip()
    raise SystemExit(f"{command}: it never answered")


@asynccontextmanager
async def beside_null(env: dict[str, str]) -> AsyncIterator[tuple[Driver, Driver]]:
    """Callers of the real server and of the null one, which sends a reply of its."""
    serve = [sys.executable, "-m", "scoring", "serve"]
    servers = [started(serve, env)]
    try:
        async with Driver(servers[0][0].pid, servers[0][1]) as first:
            assert await first.unary(0) == "OK"
        canned = Path(env["SCORING_STATE_DIR"]) / "canned.bin"
        reply = calls.CheckTransactionResponse.FromString(first.replies[0])
        canned.write_bytes(reply.decision.SerializeToString())
        null = [sys.executable, "-m", "benchmarks.grpc_null", str(canned)]
        servers.append(started(null, {}))
        service, control = (Driver(process.pid, at) for process, at in servers)
        async with service, control:
            yield service, control
    finally:
        for process, _ in servers:
            process.terminate()
            process.wait(30)


def shown(measure: Measure) -> None:
    """Measure with a store and a scratch directory of its own, and print the figures.

    The last line is one JSON object, with the machine and the date.
    """
    with (
        tempfile.TemporaryDirectory() as scratch,
        embedded_store() as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(measure(url, Path(scratch)))
    found |= {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, load "
        f"{os.getloadavg()[0]:.1f}",
        "date": time.strftime("%Y-%m-%d"),
    }
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}
    for name, value in rounded.items():
        print(f"{name:32} {value}")
    print(json.dumps(rounded))


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Driver:
    """A caller with fixed connections to one server."""

    pid: int
    address: str
    traffic: Traffic = field(default_factory=lambda: Traffic(1))
    replies: list[bytes] = field(default_factory=list)
    _channels: list[LightChannel] = field(default_factory=list)
    _prepared: deque[bytes] = field(default_factory=deque)

    async def __aenter__(self) -> Self:
        self._channels = [LightChannel(self.address) for _ in range(CONNECTIONS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            channel.close()

    async def unary(self, index: int, *, timeout_s: float = 5.0) -> str:
        """One check; returns its status. Every hundredth reply is kept."""
        status, reply = await self._channels[index % CONNECTIONS].unary(
            SERVICE + "CheckTransaction", self._next(), timeout_s
        )
        if status == "OK" and index % 100 == 0:
            self.replies.append(reply)
        return status

    def _next(self) -> bytes:
        return self._prepared.popleft() if self._prepared else self._made()

    def _made(self) -> bytes:
        request = calls.CheckTransactionRequest(transaction=self.traffic.next())
        return request.SerializeToString()

    async def batch(self, index: int) -> str:
        """One batch; returns its status."""
        request = calls.BatchCheckTransactionsRequest(
            transactions=[self.traffic.next() for _ in range(BATCH)]
        )
        status, _ = await self._channels[index % CONNECTIONS].unary(
            SERVICE + "BatchCheckTransactions", request.SerializeToString(), 10.0
        )
        return status

    async def streams(self, seconds: float) -> int:
        """Keep every stream's window full; returns the replies."""
        ends = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(self._fill(c, ends) for c in self._channels)))

    async def _fill(self, channel: LightChannel, ends: float) -> int:
        count = 0
        window = asyncio.Semaphore(STREAM_WINDOW)

        def heard(_: bytes) -> None:
            nonlocal count
            count += 1
            window.release()

        call = await channel.stream(SERVICE + "StreamCheckTransactions", heard)
        while time.perf_counter() < ends:
            await window.acquire()
            call.write(_message(self.traffic.next()))
        call.done_writing()
        await call.ended()
        return count

    async def paced_streams(self, *, per_s: float, seconds: float, seed: int) -> Run:
        """Poisson arrivals over the streams; latency from the intended moment."""
        run = Run(seconds=seconds)
        times = arrivals(per_s=per_s, seconds=seconds, seed=seed)
        checks = [self.traffic.next() for _ in times]
        prepared = [(check.id, _message(check)) for check in checks]
        streams = [await _Paced.over(channel, run) for channel in self._channels]
        started_s = time.perf_counter()
        with going_first(), FineTimer() as timer:
            for index, at_s in enumerate(times):
                intended = started_s + at_s
                await timer.until(intended)
                run.lags_ms.append((time.perf_counter() - intended) * 1e3)
                streams[index % CONNECTIONS].send(*prepared[index], intended)
        for stream in streams:
            stream.call.done_writing()
        await asyncio.gather(*(stream.call.ended() for stream in streams))
        return run

    async def cost_us(self, kind: str, seconds: float) -> tuple[float, float]:
        """(CPU microseconds of the server a transaction, transactions a second)."""
        before = cpu_s(self.pid)
        if kind == "unary":
            run = await closed_loop(self.unary, in_flight=32, seconds=seconds)
            count = run.statuses["OK"]
        elif kind == "batch":
            run = await closed_loop(self.batch, in_flight=4, seconds=seconds)
            count = run.statuses["OK"] * BATCH
        else:
            count = await self.streams(seconds)
        spent = cpu_s(self.pid) - before
        return spent / max(count, 1) * 1e6, count / seconds

    async def paced(
        self, *, per_s: float, seconds: float, seed: int, timeout_s: float = 5.0
    ) -> Run:
        """Unary Poisson arrivals, deadline `timeout_s`."""
        # A Poisson process brings a few more than its mean.
        count = int(1.1 * per_s * seconds) + CONNECTIONS
        self._prepared.extend(self._made() for _ in range(count))

        async def call(index: int) -> str:
            return await self.unary(index, timeout_s=timeout_s)

        with going_first():
            return await open_loop(call, per_s=per_s, seconds=seconds, seed=seed)


@dataclass(slots=True)
class _Paced:
    """One stream, and when each of its unanswered messages was meant to be sent."""

    run: Run
    sent: dict[str, float] = field(default_factory=dict)
    call: LightStream = field(init=False)

    @classmethod
    async def over(cls, channel: LightChannel, run: Run) -> Self:
        """Open the stream; what comes back is noted in `run`."""
        made = cls(run)
        made.call = await channel.stream(
            SERVICE + "StreamCheckTransactions", made.heard
        )
        return made

    def send(self, id_: str, raw: bytes, intended: float) -> None:
        """Send one message, meant for an instant of `time.perf_counter`."""
        self.sent[id_] = intended
        self.call.write(raw)

    def heard(self, raw: bytes) -> None:
        """Note one reply."""
        reply = calls.StreamCheckTransactionsResponse.FromString(raw).result
        intended = self.sent.pop(reply.transaction_id, None)
        if intended is None:  # the null server answers with one id
            intended = self.sent.pop(next(iter(self.sent)))
        took_ms = (time.perf_counter() - intended) * 1e3
        self.run.note("OK" if reply.HasField("decision") else "ERROR", took_ms)


def _message(check: Transaction) -> bytes:
    return calls.StreamCheckTransactionsRequest(transaction=check).SerializeToString()
