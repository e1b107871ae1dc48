"""Several processes of one door on one machine, kept alive and drained together."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

log = logging.getLogger(__name__)
# A worker that died is replaced after this long: a crash loop must not spin.
_RESTART_S = 0.5
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_STARTING_NICENESS = 10  # a tenth of a contended core, all of an idle one


def end_with_parent() -> None:
    """Have the kernel drain this worker when its parent dies, however it dies."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def import_behind(modules: Sequence[str]) -> None:
    """Import modules at a low priority; the caller keeps its own.

    Importing is nine tenths of a start, and where a worker is replaced its brothers
    answer callers on the same cores. A thread does it: none may raise a priority
    that it lowered, but on Linux each thread has its own.
    """
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_import_behind, modules).result()


@contextmanager
def frozen() -> Iterator[None]:
    """Keep the collector from what is loaded: it lives as long as the block.

    After it the collector may have it: a library that is never let go reports its
    own objects as leaked when the process ends.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _import_behind(modules: Sequence[str]) -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process
        with suppress(OSError):  # forbidden here: then at the priority that there is
            os.nice(_STARTING_NICENESS)
    for module in modules:
        importlib.import_module(module)


@dataclass(slots=True)
class Workers:
    """Starts `count` workers as fresh processes and replaces the ones that die.

    They are spawned, never forked: gRPC does not survive a fork. `command` becomes
    one worker when its number is added; the worker calls `end_with_parent`. One
    that ends before it was ever ready (before it printed `ready_line`) ends all:
    its settings are wrong. SIGTERM and SIGINT drain every worker; one that does
    not end within `drain_s` is killed.
    """

    command: Sequence[str]
    count: int
    drain_s: float
    ready_line: str
    _told: asyncio.Event = field(default_factory=asyncio.Event)
    _ready: set[int] = field(default_factory=set)
    _code: int = 0

    async def run(self) -> int:
        """Run until told to stop; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told.set)
        await asyncio.gather(*(self._keep(index) for index in range(self.count)))
        return self._code

    async def _keep(self, index: int) -> None:
        while not self._told.is_set():
            process = await asyncio.create_subprocess_exec(
                *self.command,
                str(index),
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches us first; we drain them
            )
            reading = asyncio.ensure_future(self._read(process, index))
            ended = asyncio.ensure_future(process.wait())
            told = asyncio.ensure_future(self._told.wait())
            await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            if self._told.is_set():
                await self._drain(process)
            elif index not in self._ready:
                self._code = process.returncode or 1
                self._told.set()
            else:
                log.error(
                    "worker %d ended; starting another",
                    index,
                    extra={"cause": "worker-ended", "status": process.returncode},
                )
                await asyncio.sleep(_RESTART_S)
            await reading

    async def _read(self, process: asyncio.subprocess.Process, index: int) -> None:
        """Pass output on; announce readiness once every worker is ready."""
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode("utf-8", "replace")
            if not line.startswith(self.ready_line):
                sys.stdout.write(line)
                continue
            before = len(self._ready)
            self._ready.add(index)
            if before < self.count == len(self._ready):
                sys.stdout.write(line)
            sys.stdout.flush()

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.drain_s):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            code = 1
        if code != -signal.SIGTERM:  # told before it listened: no failure
            self._code = self._code or code
