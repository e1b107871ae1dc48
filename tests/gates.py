"""A way to a server that can be shut: an outage that begins and ends in an instant."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from scoring.embedded.child import LOOPBACK, free_port

_READ_BYTES = 1 << 16


@dataclass(slots=True)
class Gate:
    """A loopback port that leads to another. Shut, connections end and none begins."""

    to_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def open(self) -> None:
        self._run(self._open())

    def shut(self) -> None:
        self._run(self._shut())

    def _run(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader, writer) -> None:
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self.to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        self._writers -= {writer, back}

    async def _pump(self, source, sink) -> None:
        with suppress(OSError):
            while received := await source.read(_READ_BYTES):
                sink.write(received)
                await sink.drain()
        sink.close()

    def start(self) -> None:
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def end(self) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextmanager
def gate(**ports: int) -> Iterator[Gate]:
    """An open gate; to a free port that somebody will listen on, unless told."""
    made = Gate(**ports)
    made.start()
    made.open()
    try:
        yield made
    finally:
        made.end()
