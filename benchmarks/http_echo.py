"""The bare echo: the server and protocol of the HTTP door, and no work at all.

What it costs is HTTP itself. Each body comes back as it was sent.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import uvloop

from scoring.doors.http.server import HttpOptions, HttpServer


class Echo:
    """Answers each body with itself."""

    ready = False
    monotonic = staticmethod(lambda: 0.0)

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        body = (await receive())["body"]
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def serve() -> None:
    """Serve until SIGTERM; prints its address like the real server."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = HttpServer(Echo(), HttpOptions(address="127.0.0.1:0"))  # type: ignore[arg-type]
    await server.start()
    print(f"serving http on {server.address}", flush=True)
    await told.wait()
    await server.drain(notice_s=0, grace_s=1)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
