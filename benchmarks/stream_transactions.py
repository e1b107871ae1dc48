"""Kafka's transactions beside the output watermark: rate, latency, what each survives.

Three loops with the same intake, scorer and encoder on a real Apache Kafka: the raw
one (at least once), the stream door (watermark), and the raw one in transactions.
Latency is from an input's append to its output's reading, for a transaction's records
are appended before they may be read. Readers of the drills count twice: as
read_committed and as read_uncommitted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaConsumer

from benchmarks.stream import (
    PARTITIONS,
    Place,
    Run,
    broker,
    contestant,
    cpu_s,
    create_topics,
    inputs,
    send,
    trained,
)
from scoring.embedded.store import embedded_store

NAMES = ("raw", "ours", "transactional")
ISOLATION = {"raw": "read_uncommitted", "ours": "read_uncommitted"}
SESSION_S = 6.0
QUIET_S = 8.0  # no more output for so long: everything was said


class Reader:
    """Reads one decisions topic; remembers when each input's output was first seen."""

    def __init__(self, place: Place, prefix: str, isolation: str) -> None:
        self.place, self.isolation = place, isolation
        self.topics = (prefix + "transactions", prefix + "decisions")
        self.sent_ms: dict[tuple[int, int], int] = {}
        self.seen: Counter[tuple[int, int]] = Counter()
        self.first_s: dict[tuple[int, int], float] = {}

    async def until(self, n: int, *, quiet_s: float = 0.0) -> None:
        """Read until `n` inputs are answered, and on until nothing more comes."""
        consumer = AIOKafkaConsumer(
            *self.topics,
            bootstrap_servers=self.place.bootstrap,
            auto_offset_reset="earliest",
            isolation_level=self.isolation,
        )
        await consumer.start()
        heard_at = time.monotonic()
        while len(self.seen) < n or time.monotonic() - heard_at < quiet_s:
            assert time.monotonic() - heard_at < 90, f"{len(self.seen)} of {n} came"
            for tp, records in (await consumer.getmany(timeout_ms=20)).items():
                now_s = time.time()
                if tp.topic == self.topics[0]:
                    for r in records:
                        self.sent_ms[tp.partition, r.offset] = r.timestamp
                    continue
                heard_at = time.monotonic()
                for r in records:
                    at = (tp.partition, int(dict(r.headers)["src"]))
                    self.seen[at] += 1
                    self.first_s.setdefault(at, now_s)
        await consumer.stop()

    def latencies_ms(self) -> list[float]:
        """Of the inputs after the first eighth, which warms up."""
        found = [
            seen * 1_000 - self.sent_ms[at]
            for at, seen in self.first_s.items()
            if at in self.sent_ms
        ]
        return found[len(found) // 8 :]


def named(place: Place, kind: str) -> str:
    place.rounds += 1
    return f"{kind}{place.rounds}-{os.getpid()}."


async def throughput(place: Place, name: str, n: int, *, stub: bool) -> Run:
    prefix = named(place, "r")
    await create_topics(place.bootstrap, prefix, partitions=PARTITIONS)
    await send(place.bootstrap, prefix + "transactions", inputs(n))
    reader = Reader(place, prefix, ISOLATION.get(name, "read_committed"))
    reading = asyncio.ensure_future(reader.until(n))
    with contestant(place, name, prefix, stub=stub) as process:
        before = cpu_s(process.pid)
        await reading
        used = cpu_s(process.pid) - before
    times = sorted(reader.first_s.values())[n // 10 :]
    return Run(len(times) / max(times[-1] - times[0], 0.001), used / n * 1e6)


async def latency(place: Place, name: str, *, rate: int) -> list[float]:
    prefix = named(place, "l")
    n = rate * 8
    await create_topics(place.bootstrap, prefix, partitions=PARTITIONS)
    with contestant(place, name, prefix, stub=True):
        reader = Reader(place, prefix, ISOLATION.get(name, "read_committed"))
        reading = asyncio.ensure_future(reader.until(n))
        await send(place.bootstrap, prefix + "transactions", inputs(n), rate=rate)
        await reading
    return reader.latencies_ms()


@contextlib.contextmanager
def worker(place: Place, name: str, prefix: str, number: int) -> Iterator[list]:
    """A worker that can be killed and started again under its transactional id."""
    running: list[subprocess.Popen[str]] = []
    env = place.env(prefix) | {"BENCH_TRANSACTIONAL_ID": f"{prefix}{number}"}

    def start() -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stream_contestants", name],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        running.append(process)
        assert process.stdout
        while (line := process.stdout.readline()) and "streaming from" not in line:
            pass
        assert line, f"{name} did not start"

    start()
    try:
        yield [running, start]
    finally:
        for process in running:
            process.kill()
            process.wait()


async def drill(place: Place, name: str, n: int, *, zombie: bool) -> dict[str, int]:
    """Kill a worker again and again, or have it sleep through its session once."""
    prefix = named(place, "d")
    await create_topics(place.bootstrap, prefix, partitions=PARTITIONS)
    topic = prefix + "transactions"
    with worker(place, name, prefix, 0) as (running, start):
        feeding = asyncio.ensure_future(
            send(place.bootstrap, topic, inputs(n), rate=300)
        )
        if zombie:
            await asyncio.sleep(2)
            running[0].send_signal(signal.SIGSTOP)
            with worker(place, name, prefix, 1):
                await asyncio.sleep(SESSION_S + 2)
                running[0].send_signal(signal.SIGCONT)
                await feeding
                return await counted(place, name, prefix, n)
        for _ in range(5):
            await asyncio.sleep(1.5)
            running[-1].kill()
            running[-1].wait()
            await asyncio.to_thread(start)
        await feeding
        return await counted(place, name, prefix, n)


async def counted(place: Place, name: str, prefix: str, n: int) -> dict[str, int]:
    reader = Reader(place, prefix, ISOLATION.get(name, "read_committed"))
    await reader.until(n, quiet_s=QUIET_S)
    loose = Reader(place, prefix, "read_uncommitted")
    await loose.until(n, quiet_s=1.0)
    return {
        "lost": n - len(reader.seen),
        "duplicated": reader.seen.total() - len(reader.seen),
        "duplicated_read_uncommitted": loose.seen.total() - len(loose.seen),
    }


def median(runs: list[Run]) -> Run:
    return Run(
        statistics.median(r.tx_per_s for r in runs),
        statistics.median(r.us_per_tx for r in runs),
    )


async def rates(place: Place, n: int, repeats: int) -> dict[str, object]:
    figures: dict[str, object] = {}
    for stub in (False, True):
        seen: dict[str, list[Run]] = {name: [] for name in NAMES}
        for _ in range(repeats):
            for name in NAMES:
                seen[name].append(await throughput(place, name, n, stub=stub))
        found = {name: median(runs) for name, runs in seen.items()}
        kind = "stub_" if stub else ""
        for name, run in found.items():
            figures[f"{kind}{name}_tx_per_s"] = round(run.tx_per_s)
            figures[f"{kind}{name}_us_per_tx"] = round(run.us_per_tx)
        print(json.dumps(figures), flush=True)
    return figures


async def measure(place: Place, chosen: argparse.Namespace) -> dict[str, object]:
    figures: dict[str, object] = {"broker": "Apache Kafka", "cores": os.cpu_count()}
    if chosen.part in ("rates", "all"):
        figures |= await rates(place, chosen.messages, chosen.repeats)
        for name in NAMES:
            found = await latency(place, name, rate=500)
            for share in (50, 99):
                figures[f"{name}_p{share}_ms"] = round(
                    float(np.percentile(found, share))
                )
    if chosen.part in ("drills", "all"):
        for zombie in (False, True):
            for name in NAMES:
                figures[f"{name}_{'zombie' if zombie else 'kills'}"] = await drill(
                    place, name, chosen.messages, zombie=zombie
                )
                print(json.dumps(figures), flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=6_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=["rates", "drills", "all"], default="all")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "kafka").mkdir()
        model = trained(home / "model")
        with (
            embedded_store() as store,
            broker(home / "kafka", embedded=False) as bootstrap,
        ):
            place = Place(bootstrap, store, model, False, home)
            figures = asyncio.run(measure(place, chosen))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
