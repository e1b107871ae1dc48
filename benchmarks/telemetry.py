"""What being watched costs: metrics, lines and traces all on against all off, in turns.

`make bench NAME=telemetry`. The pipeline on a real store, with what a gRPC call counts
around each batch; all on has every hundredth decision in a line of JSON, and a trace of
every tenth call, which a collector beside takes: each payment is a call. What a scrape
costs is shown beside: it comes by the clock, not by the payment. Ratios are of CPU
time, which others on the machine disturb least: medians over pairs of turns.
"""

from __future__ import annotations

import io
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import uvloop
from prometheus_client import CollectorRegistry, generate_latest

from benchmarks.pipeline import MODEL, Laps, Run, messages
from scoring.core.decision.decision import Door
from scoring.core.features.catalogue import default_catalogue
from scoring.doors.calls.call_watch import CallWatch
from scoring.embedded.store import embedded_store
from scoring.ports.spans import CallSpan
from scoring.settings import Settings
from scoring.telemetry.call_metrics import SilentCalls
from scoring.telemetry.decision_lines import DecisionLines
from scoring.telemetry.logs import begin_logs
from scoring.telemetry.otlp import SpanSender, sender_to
from scoring.telemetry.prometheus import PrometheusTelemetry, SilentTelemetry
from scoring.telemetry.tracing import Tracing
from scoring.training.progress import bar
from scoring.training.train import ensure_demo_model
from scoring.wiring.process_supervisor import frozen
from scoring.wiring.services import service_from

TURNS = int(os.environ.get("BENCH_ROUNDS", "15"))
TRANSACTIONS = {1: 1_000, 100: 2_000}
WARMED = 2_000
SHARE = 0.01
TRACED_SHARE = 0.1
# Takes whatever comes, in a process of its own: its time is not ours.
_COLLECTOR = """
from concurrent.futures import ThreadPoolExecutor
import grpc
class Taking(grpc.GenericRpcHandler):
    def service(self, _):
        return grpc.unary_unary_rpc_method_handler(lambda _raw, _context: b"")
server = grpc.server(ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((Taking(),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


class _Silent(SilentTelemetry):
    """All off; the run's own laps are not asked for."""

    us: ClassVar[Counter[str]] = Counter()


class _Watched(PrometheusTelemetry):
    """All on."""

    us: ClassVar[Counter[str]] = Counter()


@dataclass(slots=True)
class Turn:
    """One way of being watched."""

    telemetry: Any
    watch: CallWatch
    tracing: Tracing | None = None
    flush: Callable[[], None] = lambda: None  # what it owes is sent in its own time

    def span(self) -> CallSpan | None:
        """Of one call."""
        if self.tracing is None:
            return None
        return self.tracing.began(Door.GRPC, "CheckTransaction", "")

    async def cpu_us(self, scorer: Any, raws: list[bytes], size: int) -> float:
        """CPU time of one transaction, microseconds."""
        scorer.telemetry = self.telemetry
        run = Run(scorer, self.telemetry, Counter(), self.span)
        began = time.process_time()
        for start in range(0, len(raws), size):
            began_at = self.watch.began(Door.GRPC)
            await run.batch(raws[start : start + size])
            self.watch.ended_rpc("CheckTransaction", "OK", began_at)
        self.flush()
        return (time.process_time() - began) * 1e6 / len(raws)


@contextmanager
def collector() -> Iterator[str]:
    """Its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", _COLLECTOR], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


async def measure(url: str, scratch: Path, sender: SpanSender) -> dict[str, Any]:
    """Both batch sizes, on and off in turns."""
    settings = Settings(
        redis_url=url, model_dir=MODEL, state_dir=scratch, kafka_bootstrap=""
    )
    registry, source = CollectorRegistry(), messages()
    tracing = Tracing(TRACED_SHARE, 0.0, sender.take)
    on = _Watched(registry, lines=DecisionLines(SHARE), tracing=tracing)
    begin_logs("json", "info", io.StringIO())
    async with service_from(settings, name="bench") as service:
        scorer = service.scorer
        on.expect(scorer.artifacts.model)
        ways = {
            "on": Turn(on, CallWatch(on.calls), tracing, sender.flush),
            "off": Turn(_Silent(), CallWatch(SilentCalls())),
        }
        warming = Run(scorer, Laps(), Counter())
        scorer.telemetry = warming.laps
        for _ in range(WARMED // 100):
            await warming.batch(list(islice(source, 100)))
        found: dict[int, dict[str, list[float]]] = {
            size: {"on": [], "off": []} for size in TRANSACTIONS
        }
        with frozen():  # as the process that serves is
            for turn in range(TURNS):
                for size, count in TRANSACTIONS.items():
                    for name in ("on", "off") if turn % 2 else ("off", "on"):
                        raws = list(islice(source, count))
                        spent = await ways[name].cpu_us(scorer, raws, size)
                        found[size][name].append(spent)
    logging.getLogger().handlers.clear()
    began = time.process_time()
    shown = generate_latest(registry).decode().splitlines()
    scrape_ms = (time.process_time() - began) * 1e3
    return figures(found) | {
        "scrape_cpu_ms": round(scrape_ms, 1),
        "traced": dict(sender.fates),
        "series_per_process": sum(not line.startswith("#") for line in shown),
    }


def figures(found: dict[int, dict[str, list[float]]]) -> dict[str, Any]:
    """Ratios of pairs of turns; the throughput of a busy core is one over its time."""
    ratios = {
        size: statistics.median(
            off / on for on, off in zip(ways["on"], ways["off"], strict=True)
        )
        for size, ways in found.items()
    }
    told: dict[str, Any] = {
        f"throughput_ratio_batch_{size}": round(ratio, 3)
        for size, ratio in ratios.items()
    }
    for size, ways in found.items():
        for name, spent in ways.items():
            told[f"cpu_us_{name}_batch_{size}"] = round(statistics.median(spent), 1)
    return {"throughput_ratio": round(min(ratios.values()), 3), **told}


def main() -> None:
    with bar(transient=True) as report:
        ensure_demo_model(MODEL, default_catalogue(), report)
    with embedded_store() as url, TemporaryDirectory() as scratch, collector() as to:
        sender = sender_to(to, "bench", "0", "decisions")
        print(json.dumps(uvloop.run(measure(url, Path(scratch), sender))), flush=True)
        sender.close()


if __name__ == "__main__":
    main()
