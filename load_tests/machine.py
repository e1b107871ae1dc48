"""Whether this machine can measure latencies at all: run it before anything else.

    python -m load_tests.machine

One process on every core does nothing but read the clock: what is missing from its
seconds, somebody else took. Then a generator sends to nobody: how late it is, it will
be in every run. Ends with one line of JSON, and with a status of 3 where a run on this
machine, now, would be void before it began.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time

import uvloop

from load_tests.open_loop import LAG_MS_P99_MAX, open_loop, percentile

_GAP_S = 1e-4  # a loop that reads the clock takes a thousandth of it
_LOST_SHARE_MAX = 0.02
_PER_S = 300.0
_VOID = 3


def gaps_ms(seconds: float) -> list[float]:
    """Read the clock without a pause; how long each hole in its time was."""
    found = []
    last = time.perf_counter()
    ends = last + seconds
    while last < ends:
        now = time.perf_counter()
        if now - last > _GAP_S:
            found.append((now - last) * 1e3)
        last = now
    return found


async def _answer(_index: int) -> str:
    return "OK"


async def _idle_lag_ms(seconds: float) -> float:
    run = await open_loop(
        _answer, per_s=_PER_S, seconds=seconds, seed=1, warm_up_share=0.0
    )
    return percentile(run.lags_ms, 99)


def looked_at(seconds: float) -> dict[str, object]:
    """The figures of this machine, now."""
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.map(gaps_ms, [0.1] * cores)  # every process has begun
        gaps = pool.map(gaps_ms, [seconds] * cores, chunksize=1)
    lost = sum(map(sum, gaps)) / 1e3 / (seconds * cores)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lag_ms = runner.run(_idle_lag_ms(seconds))
    return {
        "cores": cores,
        "cores_given": round(cores * (1 - lost), 2),
        "longest_gap_ms": round(max((g for own in gaps for g in own), default=0.0), 2),
        "idle_lag_ms_p99": round(lag_ms, 3),
        "fit": lost <= _LOST_SHARE_MAX and lag_ms <= LAG_MS_P99_MAX,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> int:
    """Look; the exit status says whether it is worth measuring here."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    found = looked_at(parser.parse_args().seconds)
    print(json.dumps(found))
    if not found["fit"]:
        print(
            "others take this machine's time: latencies measured now are theirs",
            file=sys.stderr,
        )
        return _VOID
    return 0


if __name__ == "__main__":
    sys.exit(main())
