"""Several server processes on one port, kept alive and drained together."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from scoring.errors import CannotListen

# A worker that died is replaced after this long: a crash loop must not spin.
_RESTART_S = 0.5
# A worker gets its grace for calls in flight and this for closing what it holds.
_CLOSING_S = 15.0
_READY = "serving grpc on "


@contextmanager
def reserved(address: str) -> Iterator[str]:
    """Reserve a port that several processes will share; yields the actual address.

    The socket is bound and never listens, so it gets no connection: it only keeps
    the port ours. Raises `CannotListen`.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            holder.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise CannotListen(f"{address}: cannot bind: {error.strerror}") from error
        yield f"{host}:{holder.getsockname()[1]}"


@dataclass(slots=True)
class Workers:
    """Starts `count` workers as fresh processes, one event loop each.

    They are spawned, never forked: gRPC does not survive a fork. A worker that
    dies is replaced; one that ends before it was ever ready ends all (its settings
    are wrong). SIGTERM and SIGINT drain every worker.
    """

    address: str
    count: int
    drain_s: float
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
            process = await self._start(index)
            reading = asyncio.ensure_future(self._read(process, index))
            ended = asyncio.ensure_future(process.wait())
            told = asyncio.ensure_future(self._told.wait())
            await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
            if self._told.is_set():
                await self._drain(process)
            elif index not in self._ready:
                self._code = process.returncode or 1
                self._told.set()
            else:
                sys.stderr.write(f"worker {index} ended; starting another\n")
                await asyncio.sleep(_RESTART_S)
            told.cancel()
            await reading

    async def _start(self, index: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "scoring",
            "serve",
            f"--address={self.address}",
            f"--worker={index}",
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C reaches us first; we drain them.
            start_new_session=True,
        )

    async def _read(self, process: asyncio.subprocess.Process, index: int) -> None:
        """Pass output on; announce the address once every worker answers."""
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode("utf-8", "replace")
            if not line.startswith(_READY):
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
            async with asyncio.timeout(self.drain_s + _CLOSING_S):
                self._code = self._code or await process.wait()
        except TimeoutError:
            process.kill()
            self._code = 1
