"""Runs the backtests that wait: one at a time, by one copy, each in a process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from scoring.control.desks.backtest_desk import BacktestDesk
from scoring.control.domain.backtest_jobs import INTERRUPTED, BacktestJob
from scoring.control.domain.gate import Backtest
from scoring.control.lease import Lease
from scoring.errors import DatabaseUnavailable

log = logging.getLogger(__name__)
LINE_BYTES_MAX = 32 * 1024 * 1024  # a report with curves of thousands of segments
END_S = 10.0  # so long a process may take to end, once it has told everything
LOOK_S = 1.0  # how late a cancellation, or another copy's request, is seen
# Starts the process that judges a job: it tells lines of JSON, and ends with its input.
Start = Callable[[int], Awaitable[asyncio.subprocess.Process]]


@dataclass(slots=True)
class BacktestRunner:
    """Runs what waits until it is cancelled; of two copies the one with the lease.

    A process tells its progress, {"stage": …, "done": …}, and at its end either
    {"refused": …} or {"backtest": …}. It is killed where its job was cancelled, where
    another copy took the lease and called the job interrupted, and where this copy
    ends; it goes on while the database does not answer.
    """

    desk: BacktestDesk
    lease: Lease
    start: Start
    look_s: float = LOOK_S
    end_s: float = END_S
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Look now; to be called in the loop's thread."""
        self._woken.set()

    async def run(self) -> None:
        """Run what waits, for ever."""
        try:
            while True:
                self._woken.clear()
                try:
                    ran = await self._turn()
                except DatabaseUnavailable as error:
                    log.warning("backtests wait: %s", error)
                    ran = False
                if not ran:
                    await self._wait()
        finally:
            with suppress(DatabaseUnavailable):
                await asyncio.to_thread(self.lease.let_go)

    async def _turn(self) -> bool:
        """Run one, if any waits and this copy has the lease; whether it did."""
        if not await asyncio.to_thread(self.lease.hold):
            return False
        if not await asyncio.to_thread(self.desk.waits):
            return False
        job = await asyncio.to_thread(self.desk.begin, self.lease.holder)
        if job is None:
            return False
        await self._run(job)
        return True

    async def _run(self, job: BacktestJob) -> None:
        process = await self.start(job.number)
        last: dict[str, Any] = {}
        reading = asyncio.create_task(self._read(process, last))
        try:
            while not reading.done():
                await asyncio.wait([reading], timeout=self.look_s)
                if not await self._goes_on(job, last):
                    return
        except asyncio.CancelledError:
            with suppress(DatabaseUnavailable):  # the next copy calls it so
                failed = asyncio.to_thread(self.desk.failed, job, INTERRUPTED)
                await asyncio.shield(failed)
            raise
        finally:
            await _ended(process, reading, self.end_s)
        await self._kept(job, last, process.returncode)

    async def _read(
        self, process: asyncio.subprocess.Process, last: dict[str, Any]
    ) -> None:
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                last.update(await asyncio.to_thread(_told, line))
        except ValueError:  # of the stream: a line over its limit
            last["refused"] = (
                f"what it found is longer than {LINE_BYTES_MAX >> 20} MiB; judge by "
                "fewer segments"
            )
            raise

    async def _goes_on(self, job: BacktestJob, last: dict[str, Any]) -> bool:
        """Keep how far it is; whether it is still asked for, and this copy's.

        The job's own row decides: whoever takes the lease calls it interrupted there.
        """
        told = str(last.get("stage", "")), float(last.get("done", 0.0))
        try:
            await asyncio.to_thread(self.lease.hold)
            goes_on = await asyncio.to_thread(self.desk.moved, job, *told)
        except DatabaseUnavailable as error:
            log.warning("backtest %d continues: %s", job.number, error)
            return True
        if not goes_on:
            log.warning("backtest %d was cancelled or taken; it ends here", job.number)
        return goes_on

    async def _kept(
        self, job: BacktestJob, last: dict[str, Any], status: int | None
    ) -> None:
        """Keep what came of it, once the database answers."""
        while True:
            try:
                return await asyncio.to_thread(self._settle, job, last, status)
            except DatabaseUnavailable as error:
                log.warning("what backtest %d found waits: %s", job.number, error)
                await asyncio.sleep(self.look_s)

    def _settle(
        self, job: BacktestJob, last: dict[str, Any], status: int | None
    ) -> None:
        if "backtest" in last:
            self.desk.finished(job, Backtest(**last["backtest"]))
            return
        why = str(last.get("refused", ""))
        if not why:
            why = f"{INTERRUPTED} (status {status}"
            why += "; had it memory?)" if status == -9 else ")"  # noqa: PLR2004
        self.desk.failed(job, why)

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.look_s):
                await self._woken.wait()


def _told(line: bytes) -> dict[str, Any]:
    """What a line tells; nothing where it is what a library prints."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


async def _ended(
    process: asyncio.subprocess.Process, reading: asyncio.Task[None], within_s: float
) -> None:
    """End what reads from the process, and the process.

    One that was read to its end may end by itself within that time.
    """
    reading.cancel()
    (stopped,) = await asyncio.gather(reading, return_exceptions=True)
    if stopped is None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    await process.wait()
