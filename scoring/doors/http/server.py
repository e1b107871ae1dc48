"""The HTTP server: uvicorn on the loop that there is, beside gRPC."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import uvicorn

from scoring.doors.calls.addresses import bound_socket
from scoring.doors.http.connection import (
    ConnectionLimits,
    Unheard,
    nobody_hears,
    protocol_of,
)
from scoring.doors.http.request import Receive, Scope, Send

_AGE_JITTER = 0.1  # as gRPC's: callers do not all come again at once
_BACKLOG = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How the server listens.

    `connection_age_s` asks callers to come again on another connection (and so to
    find new replicas); 0 never does. `idle_s` is how long a connection may say
    nothing between two requests: longer than any balancer before us keeps it.
    `unheard` hears of connections that were refused before there was a request.
    """

    address: str
    shares_port: bool = False
    connections_max: int = 1_024
    connections_per_address_max: int = 0  # 0: no bound of its own
    connection_age_s: float = 0.0
    idle_s: int = 75
    certificates: ssl.SSLContext | None = None
    unheard: Unheard = nobody_hears


class ServedApp(Protocol):
    """An ASGI application that is told when it is `ready`, and when no longer."""

    ready: bool

    @property
    def monotonic(self) -> Callable[[], float]:
        """The clock by which connections come of age."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


class HttpServer:
    """Listens, answers, drains."""

    def __init__(self, app: ServedApp, options: HttpOptions) -> None:
        self._app = app
        self._options = options
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None
        self.address = ""

    async def start(self) -> None:
        """Listen; raises `CannotListen`. `address` then holds the actual port."""
        options = self._options
        listening = bound_socket(options.address, shares_port=options.shares_port)
        host = options.address.rpartition(":")[0]
        self.address = f"{host}:{listening.getsockname()[1]}"
        self._server = _Uvicorn(self._config())
        self._serving = asyncio.get_running_loop().create_task(
            self._server.serve([listening])
        )
        await self._server.listening.wait()
        self._app.ready = True

    async def drain(self, *, notice_s: float, grace_s: float) -> None:
        """Not ready first, then no new connections; finish the requests in flight."""
        self._app.ready = False
        await asyncio.sleep(notice_s)
        if self._server is None or self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment] # waits for floats too
        self._server.should_exit = True
        await self._serving

    def _config(self) -> uvicorn.Config:
        options = self._options
        limits = ConnectionLimits(
            options.connections_max,
            options.connections_per_address_max,
            self._leaves_at,
            options.unheard,
        )
        config = uvicorn.Config(
            self._app,
            http=protocol_of(limits),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=options.idle_s,
            backlog=_BACKLOG,
        )
        config.load()
        config.ssl = options.certificates
        return config

    def _leaves_at(self) -> float:
        age_s = self._options.connection_age_s
        if not age_s:
            return float("inf")
        jitter = 1 + random.uniform(-_AGE_JITTER, _AGE_JITTER)  # noqa: S311
        return self._app.monotonic() + age_s * jitter


class _Uvicorn(uvicorn.Server):
    """Uvicorn as a guest: signals are its host's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()
