"""`scoring serve` with a ticker on its event loop, for `benchmarks.swap`.

Every millisecond it notes, in the file SWAP_TICKS, when a tick was due (seconds of the
monotonic clock) and how late it came (milliseconds): what a payment would have waited.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from contextlib import suppress
from functools import partial
from io import BufferedWriter
from pathlib import Path

from load_tests.fine_timer import FineTimer
from scoring.__main__ import main
from scoring.cli import serve

TICK_S = 0.001
TICK = struct.Struct("<df")


async def _tick(file: BufferedWriter) -> None:
    with FineTimer() as timer:
        while True:
            due = time.perf_counter() + TICK_S
            await timer.until(due)
            file.write(TICK.pack(due, (time.perf_counter() - due) * 1e3))


_serving = serve._serve_until_told  # noqa: SLF001 - the probe is no option of it


async def _probed(file: BufferedWriter, *arguments: object) -> None:
    ticking = asyncio.create_task(_tick(file))
    await _serving(*arguments)
    ticking.cancel()


if __name__ == "__main__":
    # What its neighbours on the machine take is not its stall: where it may, it runs
    # before all of them.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with Path(os.environ["SWAP_TICKS"]).open("wb") as ticks:
        serve._serve_until_told = partial(_probed, ticks)  # type: ignore[assignment]  # noqa: SLF001
        main()
