"""A way to a store that can be shut to some commands, whole exchanges at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Gate:
    """Passes everything on; once shut, nothing that holds `word`, and says so."""

    address: str
    word: bytes
    shut: bool = False
    held: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def meet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        to_store, from_store = await asyncio.open_connection(*self.address.split(":"))
        back = asyncio.ensure_future(_pass_on(to_store, writer))
        tail = b""
        while data := await reader.read(65_536):
            # A word may lie across two reads; what went before it has gone already.
            if self.shut and self.word in tail + data:
                self.held.set()
                continue
            tail = data[-len(self.word) :]
            from_store.write(data)
            await from_store.drain()
        from_store.close()
        writer.close()
        back.cancel()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def gate(address: str, word: bytes) -> AsyncIterator[Gate]:
    """A gate before the store at host:port."""
    made = Gate(address, word)
    server = await asyncio.start_server(made.meet, "127.0.0.1", 0)
    made.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    async with server:
        yield made
