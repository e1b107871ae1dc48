"""One HTTP connection: its limits, who is on it, and what ends when it does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from scoring.doors.http.problems import MALFORMED, Problem

# Twice the metadata of a gRPC call: proxies and browsers add more of their own.
_HEAD_BYTES_MAX = 16_384
_HEADERS_MAX = 100
# A request that has begun is whole within this; before, a connection may be idle.
_REQUEST_S = 10.0
_HEADERS_TOO_LARGE = Problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers-too-large",
    "Headers too large",
    f"the target and all headers may have {_HEAD_BYTES_MAX} bytes, in {_HEADERS_MAX} "
    "headers",
)
_TOO_SLOW = Problem(
    HTTPStatus.REQUEST_TIMEOUT,
    "too-slow",
    "Request timeout",
    f"the request was not whole within {_REQUEST_S:g} s",
)
_TOO_MANY_CONNECTIONS = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "too-many-connections",
    "Too many connections",
    "this process has as many connections as it may; keep some and reuse them",
)
_TOO_MANY_OF_ADDRESS = replace(
    _TOO_MANY_CONNECTIONS,
    detail="your address has as many connections as it may; keep some and reuse them",
)


# What is said to a connection that brought no request, and its host.
Unheard = Callable[[Problem, str], None]


def nobody_hears(_problem: Problem, _host: str) -> None:
    """Nobody hears."""


@dataclass(slots=True)
class Connection:
    """What the requests of one connection share.

    `names` are those of its verified certificate. `running` answers a request, and is
    cancelled when the caller leaves. From `leaves_at` on (the monotonic clock) it is
    told to come again on another connection. `unread` is a content that was not read.
    """

    names: tuple[str, ...] = ()
    leaves_at: float = float("inf")
    running: asyncio.Task[Any] | None = None
    lost: bool = False
    unread: bool = False

    def lose(self) -> None:
        """The caller has left."""
        self.lost = True
        if self.running is not None:
            self.running.cancel()


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many there may be in one process, and from one address (0: as many), and
    how old each; see `Connection`.
    """

    count_max: int
    per_address_max: int = 0
    leaves_at: Callable[[], float] = field(default=lambda: float("inf"))
    unheard: Unheard = nobody_hears
    by_address: Counter[str] = field(default_factory=Counter)


def protocol_of(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """The protocol that uvicorn shall speak: its own, with limits."""

    class Limited(BoundedProtocol):
        connection_limits = limits

    return Limited


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with bounds on head, time and number of connections.

    Uvicorn itself takes heads of any size and waits for a request for ever.
    """

    connection_limits: ConnectionLimits

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connection = Connection(leaves_at=self.connection_limits.leaves_at())
        # Uvicorn hands a copy to each request, as `scope["state"]`.
        self.app_state = {"connection": self._connection}
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._receiving = False
        self._timed = False
        self._refused: Problem | None = None

    def connection_made(  # type: ignore[override] # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        """Take the names of its certificate; refuse one too many."""
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._connection.names = names_of(secured.getpeercert() or {})
        idle_s = self.timeout_keep_alive
        self._timer = self.loop.call_later(idle_s, self._give_up)
        limits, address = self.connection_limits, self._address
        limits.by_address[address] += 1
        if len(self.connections) > limits.count_max:
            self._end_with(_TOO_MANY_CONNECTIONS)
        elif 0 < limits.per_address_max < limits.by_address[address]:
            self._end_with(_TOO_MANY_OF_ADDRESS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what runs for a caller who has left."""
        self._settle()
        by_address, address = self.connection_limits.by_address, self._address
        by_address[address] -= 1
        if not by_address[address]:
            del by_address[address]
        super().connection_lost(exc)
        self._connection.lose()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not whole has a bound of time."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._receiving and not self._timed:
            self._settle()
            self._timer = self.loop.call_later(_REQUEST_S, self._give_up)
            self._timed = True
        elif not self._receiving:
            self._settle()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes = 0
        self._receiving = True

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole."""
        self._count_head(len(name) + len(value))
        if len(self.headers) >= _HEADERS_MAX:
            self._refuse(_HEADERS_TOO_LARGE)
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._receiving = False

    def send_400_response(self, _msg: str) -> None:
        """Answer what is no HTTP; after what is still to be answered, only close."""
        problem = self._refused or MALFORMED
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete
        if answering and (not cycle.more_body or cycle.response_started):
            cycle.keep_alive = False
            self.pipeline.clear()
            return
        self._end_with(problem)

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > _HEAD_BYTES_MAX:
            self._refuse(_HEADERS_TOO_LARGE)

    def _refuse(self, problem: Problem) -> None:
        self._refused = problem
        raise ValueError(problem.detail)  # the parser reports it as not to be parsed

    def _settle(self) -> None:
        self._timed = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._receiving:
            self._end_with(_TOO_SLOW)
        elif self.cycle is None:  # it never said anything
            self.transport.close()

    def _end_with(self, problem: Problem) -> None:
        if not self.transport.is_closing():
            self.connection_limits.unheard(problem, self._address)
            self.transport.write(problem.to_http())
            self.transport.close()


def names_of(certificate: dict[str, Any]) -> tuple[str, ...]:
    """The names a verified certificate gives: its SANs, else its common name.

    >>> names_of({"subject": ((("commonName", "shop"),),)})
    ('shop',)
    >>> names_of({"subject": (), "subjectAltName": (("DNS", "a"), ("URI", "spiffe:b"))})
    ('a', 'spiffe:b')
    """
    alternative = tuple(name for _, name in certificate.get("subjectAltName", ()))
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    return alternative or tuple(v for key, v in subject if key == "commonName")
