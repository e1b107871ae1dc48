"""Doors that serve together: started, and drained, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

# Which systems outside answer now, by name.
Outside = Mapping[str, Callable[[], bool]]


class CallServer(Protocol):
    """A door that listens."""

    async def start(self) -> None:
        """Listen; raises `CannotListen`."""
        ...

    async def drain(self, *, notice_s: float, grace_s: float) -> None:
        """Not ready for `notice_s`, then finish what is in flight within `grace_s`."""
        ...


async def serve_until(
    servers: Sequence[CallServer],
    stop: Callable[[], Awaitable[object]],
    *,
    ready: Callable[[], None],
    notice_s: float,
    grace_s: float,
) -> None:
    """Serve until `stop` returns, then drain."""
    for server in servers:
        await server.start()
    ready()
    await stop()
    await asyncio.gather(
        *(server.drain(notice_s=notice_s, grace_s=grace_s) for server in servers)
    )
