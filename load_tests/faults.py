"""What callers see while a part of the service is away, and after it is back.

    python -m load_tests.faults redis-stopped --seconds 60

Brings its own store, broker and server; breaks one part for a third of the run. A
null server gets the same load in the same seconds: what it misses too, the machine
missed. Ends with one line of JSON, and a status other than 0 where more was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from load_tests.fault_callers import Callers
from load_tests.fault_stage import Stage, null_server, staged
from load_tests.open_loop import Run, open_loop
from load_tests.traffic import Traffic

# The fault begins after this share of the run, and ends after that.
_BROKEN_FROM, _CURED_AT = 0.35, 0.65
_BREACH, _VOID = 1, 3
MISSED_SHARE_MAX = 1e-4
Act = Callable[[Stage], Awaitable[None]]


async def _stop_store(stage: Stage) -> None:
    await asyncio.to_thread(stage.store.stop, kill=True)


async def _start_store(stage: Stage) -> None:
    await asyncio.to_thread(stage.store.start)


async def _slow_store(stage: Stage) -> None:
    stage.proxy.delay_s = 0.2


async def _quick_store(stage: Stage) -> None:
    stage.proxy.delay_s = 0.0


async def _freeze_broker(stage: Stage) -> None:
    stage.broker.pause()


async def _thaw_broker(stage: Stage) -> None:
    stage.broker.resume()


async def _hide_model(stage: Stage) -> None:
    # Not by its mode: the superuser reads everything.
    stage.model_dir.rename(stage.model_dir.with_suffix(".hidden"))


async def _show_model(stage: Stage) -> None:
    stage.model_dir.with_suffix(".hidden").rename(stage.model_dir)


async def _kill_worker(stage: Stage) -> None:
    stage.kill_worker()


async def _nothing(_stage: Stage) -> None:
    """The supervisor cures it."""


FAULTS: dict[str, tuple[Act, Act]] = {
    "redis-stopped": (_stop_store, _start_store),
    "redis-slow": (_slow_store, _quick_store),
    "kafka-stopped": (_freeze_broker, _thaw_broker),
    "model-unreadable": (_hide_model, _show_model),
    "worker-killed": (_kill_worker, _nothing),
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
        breaking = asyncio.get_running_loop().create_task(self._break(stage))
        run, null = await asyncio.gather(self._load(callers), self._load(control))
        cured_at = await breaking
        seen = self._seen(callers, cured_at)
        seen |= {
            "full_again": await callers.full(),
            "provisional_sampled": len(callers.provisional),
            "provisional_adopted": await callers.adopted(),
        }
        for each in (callers, control):
            await each.close()
        return {
            "fault": self.fault,
            "seed": self.seed,
            **_counted(run, null),
            **seen,
        }

    def _seen(self, callers: Callers, cured_at: float) -> dict[str, object]:
        late = [at - cured_at for at in callers.degraded_at if at > cured_at]
        return {
            "degraded": dict(callers.degraded),
            "degraded_answers": len(callers.degraded_at),
            "last_degraded_s": round(max(late, default=0.0), 3),
            "retried": callers.retried,
        }

    async def _break(self, stage: Stage) -> float:
        break_, cure = FAULTS[self.fault]
        await asyncio.sleep(self.seconds * _BROKEN_FROM)
        await break_(stage)
        await asyncio.sleep(self.seconds * (_CURED_AT - _BROKEN_FROM))
        await cure(stage)
        return time.perf_counter()

    async def _load(self, callers: Callers) -> Run:
        return await open_loop(
            callers.call,
            per_s=self.per_s,
            seconds=self.seconds,
            seed=self.seed,
            warm_up_share=0.0,
        )


def _missed(run: Run) -> int:
    return sum(run.statuses.values()) - run.statuses["OK"]


def _counted(run: Run, null: Run) -> dict[str, object]:
    calls = sum(run.statuses.values())
    beyond = max(_missed(run) - _missed(null), 0)
    summary = run.summary()
    return {
        **summary,
        "missed": _missed(run),
        "null_missed": _missed(null),
        "null_p99_ms": null.summary()["p99_ms"],
        "missed_share_beyond_null": beyond / max(calls, 1),
        "breached": beyond / max(calls, 1) > MISSED_SHARE_MAX,
    }


async def drilled(drill: Drill, scratch: Path, **settings: object) -> dict[str, object]:
    """Bring the parts up, run one drill on them, and take them down."""
    workers = 2 if drill.fault == "worker-killed" else 1
    async with staged(scratch, workers=workers, settings=settings) as stage:
        with null_server(stage.canned) as null_address:
            return await drill.run(stage, null_address)


def main() -> int:
    """Run once; the exit status says whether the promise held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--per-s", type=float, default=300.0)
    parser.add_argument("--deadline-ms", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model-dir", help="a bundle; default: the demo's")
    told = parser.parse_args()
    drill = Drill(
        told.fault, told.seconds, told.per_s, told.deadline_ms / 1e3, told.seed
    )
    with (
        tempfile.TemporaryDirectory() as scratch,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        settings = {"model_dir": told.model_dir} if told.model_dir else {}
        found = runner.run(drilled(drill, Path(scratch), **settings))
    print(json.dumps(found))
    if found["breached"]:
        return _VOID if found["void"] else _BREACH
    return 0


if __name__ == "__main__":
    sys.exit(main())
