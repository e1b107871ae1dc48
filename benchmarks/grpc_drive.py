"""Drives a gRPC server over fixed connections and reads what it costs the server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

from load_tests.fine_timer import FineTimer
from load_tests.open_loop import Run, arrivals, closed_loop, open_loop
from load_tests.traffic import Traffic
from scoring.v1 import fraud_scoring_pb2 as calls

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
    _channels: list[grpc.aio.Channel] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        apart = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [
            grpc.aio.insecure_channel(self.address, apart) for _ in range(CONNECTIONS)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()

    async def unary(self, index: int, *, timeout_s: float = 5.0) -> str:
        """One check; returns its status. Every hundredth reply is kept."""
        call = self._channels[index % CONNECTIONS].unary_unary(
            SERVICE + "CheckTransaction"
        )
        request = calls.CheckTransactionRequest(transaction=self.traffic.next())
        try:
            reply = await call(request.SerializeToString(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        if index % 100 == 0:
            self.replies.append(reply)
        return "OK"

    async def batch(self, index: int) -> str:
        """One batch; returns its status."""
        call = self._channels[index % CONNECTIONS].unary_unary(
            SERVICE + "BatchCheckTransactions"
        )
        request = calls.BatchCheckTransactionsRequest(
            transactions=[self.traffic.next() for _ in range(BATCH)]
        )
        await call(request.SerializeToString(), timeout=10)
        return "OK"

    def message(self) -> bytes:
        """The next message of a stream."""
        return calls.StreamCheckTransactionsRequest(
            transaction=self.traffic.next()
        ).SerializeToString()

    async def streams(self, seconds: float) -> int:
        """Keep every stream's window full; returns the replies."""
        ends = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(self._fill(c, ends) for c in self._channels)))

    async def _fill(self, channel: grpc.aio.Channel, ends: float) -> int:
        call = channel.stream_stream(SERVICE + "StreamCheckTransactions")()
        window = asyncio.Semaphore(STREAM_WINDOW)

        async def send() -> None:
            while time.perf_counter() < ends:
                await window.acquire()
                await call.write(self.message())
            await call.done_writing()

        sending = asyncio.get_running_loop().create_task(send())
        count = 0
        async for _ in call:
            count += 1
            window.release()
        await sending
        return count

    async def paced_streams(self, *, per_s: float, seconds: float, seed: int) -> Run:
        """Poisson arrivals over the streams; latency from the intended moment."""
        apart = [
            self._paced(c, per_s=per_s / CONNECTIONS, seconds=seconds, seed=seed + i)
            for i, c in enumerate(self._channels)
        ]
        merged = Run(seconds=seconds)
        for run in await asyncio.gather(*apart):
            merged.latencies_ms += run.latencies_ms
            merged.lags_ms += run.lags_ms
            merged.statuses += run.statuses
        return merged

    async def _paced(
        self, channel: grpc.aio.Channel, *, per_s: float, seconds: float, seed: int
    ) -> Run:
        run, sent = Run(seconds=seconds), {}
        call = channel.stream_stream(SERVICE + "StreamCheckTransactions")()
        traffic = Traffic(seed)
        started_s = time.perf_counter()

        async def send() -> None:
            with FineTimer() as timer:
                for at_s in arrivals(per_s=per_s, seconds=seconds, seed=seed):
                    intended = started_s + at_s
                    await timer.until(intended)
                    run.lags_ms.append((time.perf_counter() - intended) * 1e3)
                    check = traffic.next()
                    sent[check.id] = intended
                    request = calls.StreamCheckTransactionsRequest(transaction=check)
                    await call.write(request.SerializeToString())
            await call.done_writing()

        sending = asyncio.get_running_loop().create_task(send())
        async for raw in call:
            reply = calls.StreamCheckTransactionsResponse.FromString(raw).result
            intended = sent.pop(reply.transaction_id, None)
            if intended is None:  # the null server answers with one id
                intended = sent.pop(next(iter(sent)))
            run.latencies_ms.append((time.perf_counter() - intended) * 1e3)
            run.statuses["OK" if reply.HasField("decision") else "ERROR"] += 1
        await sending
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

        async def call(index: int) -> str:
            return await self.unary(index, timeout_s=timeout_s)

        return await open_loop(call, per_s=per_s, seconds=seconds, seed=seed)
