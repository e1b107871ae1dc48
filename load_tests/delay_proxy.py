"""A TCP proxy that can be made slow: what a congested or distant store looks like."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Self

_READ_BYTES = 1 << 16


@dataclass(slots=True)
class DelayProxy:
    """Passes bytes on after `delay_s`, in order; half of it in each direction."""

    host: str
    port: int
    delay_s: float = 0.0
    address: str = ""
    _server: asyncio.Server | None = None
    _pumps: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            there, back = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, back), (there, writer)):
            pump = asyncio.get_running_loop().create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        waiting: deque[bytes] = deque()
        due = 0.0

        def pass_on() -> None:
            sink.write(waiting.popleft())

        try:
            while received := await source.read(_READ_BYTES):
                waiting.append(received)
                # Never before what came earlier, also when the delay has ended.
                due = max(due, loop.time() + self.delay_s / 2)
                loop.call_at(due, pass_on)
        except OSError:
            pass
        finally:
            sink.close()
