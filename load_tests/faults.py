"""What callers see while a part of the service is unavailable, and after it is back.

    python -m load_tests.faults redis-stopped --seconds 60 --seeds 5

Brings its own store, broker and server; breaks one part for a third of the run. A
null server gets the same load in the same seconds: what it misses too, the machine
missed. One line of JSON a run, and one of all runs together at the end; a status
other than 0 where the promise was not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from load_tests.fault_callers import Callers
from load_tests.fault_log import logged
from load_tests.fault_report import pooled, report
from load_tests.fault_stage import (
    PARTITIONS,
    TOPIC_PREFIX,
    Stage,
    null_server,
    staged,
)
from load_tests.open_loop import Run, open_loop
from load_tests.priority import going_first, ordinarily
from load_tests.traffic import Traffic
from scoring.kafka.topic_names import Topics
from scoring.wiring.process_supervisor import frozen

# The fault begins after this share of the run, and ends after that.
_BROKEN_FROM, _CURED_AT = 0.35, 0.65
_BREACH, _VOID = 1, 3
_PREPARED_SHARE = 1.1  # a Poisson process brings a few more than its mean
Act = Callable[[Stage], Awaitable[None]]


async def _stop_store(stage: Stage) -> None:
    await asyncio.to_thread(stage.store.stop, kill=True)


async def _start_store(stage: Stage) -> None:
    await asyncio.to_thread(ordinarily, stage.store.start)


async def _delay_store(stage: Stage, seconds: float) -> None:
    assert stage.proxy, "this fault needs the proxy"
    stage.proxy.delay_s = seconds


async def _freeze_broker(stage: Stage) -> None:
    stage.broker.pause()


async def _thaw_broker(stage: Stage) -> None:
    stage.broker.resume()


async def _kill_broker(stage: Stage) -> None:
    await asyncio.to_thread(stage.broker.stop, kill=True)


async def _start_broker(stage: Stage) -> None:
    await stage.start_broker()


async def _hide_model(stage: Stage) -> None:
    # Not by its mode: the superuser reads everything.
    stage.model_dir.rename(stage.model_dir.with_suffix(".hidden"))


async def _show_model(stage: Stage) -> None:
    stage.model_dir.with_suffix(".hidden").rename(stage.model_dir)


async def _kill_worker(stage: Stage) -> None:
    stage.kill_worker()


async def _kill_primary(stage: Stage) -> None:
    assert stage.cluster is not None
    await asyncio.to_thread(stage.cluster.primary_of(0).stop, kill=True)


async def _await_failover(stage: Stage) -> None:
    """Its replica takes its place: a live node names one that lives."""
    assert stage.cluster is not None
    while True:
        if (await asyncio.to_thread(stage.cluster.primary_of, 0)).running:
            return
        await asyncio.sleep(0.02)


async def _nothing(_stage: Stage) -> None:
    """The supervisor cures it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How a part goes away and comes back, and the stage that this needs."""

    break_: Act
    cure: Act
    workers: int = 1
    delays: bool = False
    clustered: bool = False
    heals: bool = False  # the parts cure it themselves, as soon as they can
    kafka: bool = False  # on Apache Kafka, and the log is counted afterwards


FAULTS = {
    "redis-stopped": Fault(_stop_store, _start_store),
    "redis-slow": Fault(
        partial(_delay_store, seconds=0.2),
        partial(_delay_store, seconds=0.0),
        delays=True,
    ),
    "redis-failover": Fault(_kill_primary, _await_failover, clustered=True, heals=True),
    "kafka-frozen": Fault(_freeze_broker, _thaw_broker, kafka=True),
    "kafka-stopped": Fault(_kill_broker, _start_broker, kafka=True),
    "model-unreadable": Fault(_hide_model, _show_model),
    "worker-killed": Fault(_kill_worker, _nothing, workers=2),
}


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault under load."""

    fault: str
    seconds: float
    per_s: float
    deadline_s: float
    seed: int = 1

    async def run(self, stage: Stage, null_address: str) -> dict[str, object]:
        """Load both servers, break and cure; returns the figures."""
        callers = Callers(stage.address, self.deadline_s, Traffic(self.seed))
        control = Callers(null_address, self.deadline_s, Traffic(self.seed + 1))
        for each in (callers, control):
            each.connect()
            await each.warm_up()
            each.prepare(int(self.seconds * self.per_s * _PREPARED_SHARE))
        breaking = asyncio.get_running_loop().create_task(self._break(stage))
        with frozen(), going_first():
            loads = self._load(callers), self._load(control)
            run, null = await asyncio.gather(*loads)
        broken = await breaking
        found = {
            "fault": self.fault,
            "seed": self.seed,
            **report(callers, run, null, broken),
            "full_again": await callers.full(),
            "provisional_sampled": len(callers.provisional),
            "provisional_reconciled": await callers.reconciled(),
        }
        if FAULTS[self.fault].kafka:
            found |= await logged(
                stage.broker.address,
                Topics(TOPIC_PREFIX).decisions,
                callers.answered,
                partitions=PARTITIONS,
            )
        for each in (callers, control):
            await each.close()
        return found

    async def _break(self, stage: Stage) -> tuple[float, float]:
        """Break and cure; returns when each was done."""
        fault = FAULTS[self.fault]
        await asyncio.sleep(self.seconds * _BROKEN_FROM)
        broken_at = time.perf_counter()
        await fault.break_(stage)
        if not fault.heals:
            await asyncio.sleep(self.seconds * (_CURED_AT - _BROKEN_FROM))
        await fault.cure(stage)
        return broken_at, time.perf_counter()

    async def _load(self, callers: Callers) -> Run:
        return await open_loop(
            callers.call,
            per_s=self.per_s,
            seconds=self.seconds,
            seed=self.seed,
            warm_up_share=0.0,
        )


async def drilled(
    drill: Drill, scratch: Path, settings: Mapping[str, object]
) -> dict[str, object]:
    """Bring the parts up, run one drill on them, and take them down."""
    fault = FAULTS[drill.fault]
    async with staged(
        scratch,
        workers=fault.workers,
        delays=fault.delays,
        clustered=fault.clustered,
        kafka=fault.kafka,
        settings=settings,
    ) as stage:
        with null_server(stage.canned) as null_address:
            return await drill.run(stage, null_address)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--per-s", type=float, default=300.0)
    parser.add_argument("--deadline-ms", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs")
    parser.add_argument("--model-dir", help="a bundle; default: the demo's")
    return parser.parse_args()


def _run(drill: Drill, settings: Mapping[str, object]) -> dict[str, object]:
    with (
        tempfile.TemporaryDirectory() as scratch,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(drilled(drill, Path(scratch), settings))


def main() -> int:
    """Run every seed; the exit status says whether the promise was kept."""
    told = _arguments()
    settings = {"model_dir": told.model_dir} if told.model_dir else {}
    runs = []
    for seed in range(told.seed, told.seed + told.seeds):
        drill = Drill(
            told.fault, told.seconds, told.per_s, told.deadline_ms / 1e3, seed
        )
        runs.append(_run(drill, settings))
        print(json.dumps(runs[-1]), flush=True)
    together = pooled(runs)
    print(json.dumps(together))
    if together["kept"]:
        return 0
    return _VOID if together["void_runs"] else _BREACH


if __name__ == "__main__":
    sys.exit(main())
