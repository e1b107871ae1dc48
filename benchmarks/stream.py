"""The stream door beside a raw loop, Faust as its tutorial writes it, and Quix.

On a real Apache Kafka (`--broker embedded` for the other one): the same messages,
the same scorer, one worker process each, rounds interleaved. The ratios with the
scorer stubbed in every contestant stand beside those with all work done.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaConsumer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from stream_parts import Input, create_topics, send, transaction

from scoring.embedded.broker import embedded_broker
from scoring.embedded.store import embedded_store

PARTITIONS = 4
QUIX = "quixstreams==3.28.1"
UV = shutil.which("uv") or ".uv/bin/uv"
STALL_S = 90  # no new output for so long: the contestant has failed


@dataclass(slots=True)
class Run:
    """One contestant's measured round."""

    tx_per_s: float
    us_per_tx: float
    latencies_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """Where everything runs."""

    bootstrap: str
    store: str
    model: Path
    embedded: bool
    scratch: Path
    rounds: int = 0

    def env(self, prefix: str) -> dict[str, str]:
        """The environment of a contestant with topics of its own."""
        return {
            **os.environ,
            "SCORING_KAFKA_BOOTSTRAP": self.bootstrap,
            "SCORING_REDIS_URL": self.store,
            "SCORING_MODEL_DIR": str(self.model),
            "SCORING_STATE_DIR": str(self.scratch),
            "SCORING_TOPIC_PREFIX": prefix,
            "SCORING_NAMESPACE": prefix.strip("."),
            "SCORING_FETCH_WAIT_MS": "5" if self.embedded else "100",
            "SCORING_SESSION_TIMEOUT_S": "6",
        }


def cpu_s(pid: int) -> float:
    """Processor time of a process and all its children, seconds."""
    used = 0.0
    for listed in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, _, rest = listed.read_text().partition(" ")
            fields = rest.rpartition(")")[2].split()
            if int(number) == pid:
                used += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
            elif int(fields[1]) == pid:
                used += cpu_s(int(number))
    return used


@contextlib.contextmanager
def contestant(
    place: Place, name: str, prefix: str, *, stub: bool
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.stream_contestants", name]
    if name == "quix":
        # Its pins differ from ours: it gets a layer of its own over the environment.
        command = [UV, "run", "--no-sync", "--with", QUIX, "python", *command[1:]]
    if name == "ours-2":
        command = [sys.executable, "-m", "scoring", "stream", "--workers", "2"]
    process = subprocess.Popen(
        command + ["--stub"] * stub,
        env=place.env(prefix),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        while (line := process.stdout.readline()) and "streaming from" not in line:
            pass
        assert line, f"{name} did not start"
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


async def watch(
    place: Place, prefix: str, until: int
) -> tuple[list[float], list[float]]:
    """When each decision was read, seconds, and append-to-append latencies, ms.

    Quix gives an output the timestamp of its input, so rates are of the reading.
    """
    topics = (prefix + "transactions", prefix + "decisions")
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=place.bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    sent: dict[tuple[int, int], int] = {}
    decided: dict[tuple[int, int], int] = {}
    read_at: list[float] = []
    heard_at = time.monotonic()
    while len(decided) < until and time.monotonic() - heard_at < STALL_S:
        for tp, records in (await consumer.getmany(timeout_ms=50)).items():
            heard_at = time.monotonic()
            for r in records:
                if tp.topic == topics[0]:
                    sent[tp.partition, r.offset] = r.timestamp
                    continue
                source = dict(r.headers).get("src")
                at = int(source) if source else -r.offset - 1
                if (tp.partition, at) not in decided:
                    read_at.append(heard_at)
                decided[tp.partition, at] = r.timestamp
    await consumer.stop()
    assert len(decided) >= until, f"only {len(decided)} of {until} decided"
    latencies = [decided[p] - sent[p] for p in decided if p in sent]
    return read_at, [float(x) for x in latencies]


def inputs(n: int) -> list[Input]:
    return [Input.of(transaction(f"t{i}")) for i in range(n)]


async def throughput(place: Place, name: str, n: int, *, stub: bool = False) -> Run:
    """All messages wait in the topic; the worker works them off."""
    place.rounds += 1
    prefix = f"b{place.rounds}-{os.getpid()}."
    await create_topics(place.bootstrap, prefix, partitions=PARTITIONS)
    await send(place.bootstrap, prefix + "transactions", inputs(n))
    watching = asyncio.ensure_future(watch(place, prefix, n))
    with contestant(place, name, prefix, stub=stub) as process:
        before = cpu_s(process.pid)
        decided_at, _ = await watching
        used = cpu_s(process.pid) - before
    # The first tenth warms up: connections, watermarks, caches.
    warm = decided_at[n // 10 :]
    rate = len(warm) / max(warm[-1] - warm[0], 0.001)
    return Run(rate, used / n * 1e6)


async def latency(place: Place, name: str, *, rate: int, stub: bool = False) -> Run:
    """Messages come at a steady rate; latency is append to append."""
    place.rounds += 1
    prefix = f"l{place.rounds}-{os.getpid()}."
    n = rate * 8
    await create_topics(place.bootstrap, prefix, partitions=PARTITIONS)
    with contestant(place, name, prefix, stub=stub):
        watching = asyncio.ensure_future(watch(place, prefix, n))
        await send(place.bootstrap, prefix + "transactions", inputs(n), rate=rate)
        _, latencies = await watching
    return Run(0, 0, latencies[len(latencies) // 8 :])


def trained(directory: Path) -> Path:
    """A bundle of the size that serving has: 300 trees of depth 6."""
    from small_model import noise_bundle

    return noise_bundle(directory, rows=8_000, rounds=300, depth=6)


def median(runs: list[Run]) -> Run:
    return Run(
        statistics.median(r.tx_per_s for r in runs),
        statistics.median(r.us_per_tx for r in runs),
    )


async def rounds(place: Place, n: int, repeats: int, *, stub: bool) -> dict[str, Run]:
    names = ["ours", "raw", "tutorial", "quix"]
    seen: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            run = await throughput(place, name, n, stub=stub)
            seen[name].append(run)
            kind = "stub" if stub else "work"
            print(
                f"{kind} {name:9} {run.tx_per_s:9.0f} tx/s {run.us_per_tx:7.0f} us",
                flush=True,
            )
    return {name: median(runs) for name, runs in seen.items()}


def ratios(runs: dict[str, Run], prefix: str) -> dict[str, float]:
    """Ours over each other, by rate and by processor time a transaction.

    On a busy machine the rate says who was given the processor; processor time
    says what the work costs.
    """
    ours, figures = runs["ours"], {}
    for name, called in (
        ("raw", "raw_aiokafka"),
        ("tutorial", "tutorial_faust"),
        ("quix", "quix"),
    ):
        other = runs[name]
        figures[f"{prefix}over_{called}"] = round(ours.tx_per_s / other.tx_per_s, 2)
        figures[f"{prefix}cpu_over_{called}"] = round(
            other.us_per_tx / ours.us_per_tx, 2
        )
    return figures


def percentile(run: Run, share: float) -> float:
    return round(float(np.percentile(run.latencies_ms, share)), 1)


async def measure(place: Place, n: int, repeats: int) -> dict[str, object]:
    work = await rounds(place, n, repeats, stub=False)
    stub = await rounds(place, n, repeats, stub=True)
    two = await throughput(place, "ours-2", n)
    paced = await latency(place, "ours", rate=500)
    pipe = await latency(place, "raw", rate=500, stub=True)
    return {
        "broker": "embedded (Tansu)" if place.embedded else "Apache Kafka",
        "tx_per_s": round(work["ours"].tx_per_s),
        "us_per_tx": round(work["ours"].us_per_tx),
        **ratios(work, ""),
        **ratios(stub, "stub_"),
        "latency_p50_ms": percentile(paced, 50),
        "latency_p99_ms": percentile(paced, 99),
        "pipe_latency_p50_ms": percentile(pipe, 50),
        "pipe_latency_p99_ms": percentile(pipe, 99),
        "scaling_2_workers": round(two.tx_per_s / work["ours"].tx_per_s, 2),
        "scaling_note": "broker, store and workers share the machine's cores",
        "cores": os.cpu_count(),
    }


@contextlib.contextmanager
def broker(directory: Path, *, embedded: bool) -> Iterator[str]:
    if embedded:
        with embedded_broker() as bootstrap:
            yield bootstrap
        return
    from kafka_cluster import kafka_cluster

    with kafka_cluster(directory) as cluster:
        yield cluster.bootstrap


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", choices=["kafka", "embedded"], default="kafka")
    parser.add_argument("--messages", type=int, default=6_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", type=Path, help="a bundle; default: a fresh one")
    chosen = parser.parse_args()
    embedded = chosen.broker == "embedded"
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "kafka").mkdir()
        model = chosen.model or trained(home / "model")
        with (
            embedded_store() as store,
            broker(home / "kafka", embedded=embedded) as bootstrap,
        ):
            place = Place(bootstrap, store, model, embedded, home)
            figures = asyncio.run(measure(place, chosen.messages, chosen.repeats))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
