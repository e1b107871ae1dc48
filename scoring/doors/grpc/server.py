"""The gRPC server: one on one event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc

from scoring.doors.calls.addresses import checked
from scoring.doors.calls.checks import BATCH_MESSAGES
from scoring.doors.calls.serving import Outside
from scoring.doors.grpc.health import SERVICE, Health
from scoring.doors.grpc.listening import Port, leaving_s
from scoring.doors.grpc.lookup import Methods, Unknown
from scoring.doors.grpc.methods import GrpcMethods
from scoring.errors import CannotListen

# gRPC's default is 8 kB; ours are a trace, a token and a few standard ones.
_METADATA_BYTES_MAX = 8_192
# Callers ping through an idle connection, most every 10 s or more seldom: a network
# between us forgets it otherwise. Who pings more often than every 5 s is disconnected.
_PINGS: tuple[tuple[str, Any], ...] = (
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)
_KEEPALIVE_MS = 30_000
_MS_PER_S = 1_000
_LOOKS_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How the server listens.

    `streams_max` bounds the calls in flight on one connection: what is beyond it
    waits at the caller, where its deadline expires for free. `connection_age_s`
    makes callers reconnect (and so find new replicas); gRPC jitters it by 10 %.
    0 keeps connections for ever.
    """

    address: str
    message_bytes_max: int
    streams_max: int = 32
    shares_port: bool = False
    connection_age_s: float = 0.0
    connection_grace_s: float = 10.0
    health_address: str = ""
    reflection: bool = False
    credentials: grpc.ServerCredentials | None = None

    def channel_arguments(self) -> list[tuple[str, Any]]:
        """The same for C-core."""
        arguments: list[tuple[str, Any]] = [
            (
                "grpc.max_receive_message_length",
                self.message_bytes_max * BATCH_MESSAGES,
            ),
            ("grpc.max_send_message_length", -1),
            # Both: between a soft and a hard limit gRPC refuses by chance.
            ("grpc.max_metadata_size", _METADATA_BYTES_MAX),
            ("grpc.absolute_max_metadata_size", _METADATA_BYTES_MAX),
            ("grpc.max_concurrent_streams", self.streams_max),
            ("grpc.http.overload_protection", 0),
            ("grpc.so_reuseport", int(self.shares_port)),
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            *_PINGS,
        ]
        if self.connection_age_s:
            age_ms = int(self.connection_age_s * _MS_PER_S)
            grace_ms = int(self.connection_grace_s * _MS_PER_S)
            arguments.append(("grpc.max_connection_age_ms", age_ms))
            arguments.append(("grpc.max_connection_age_grace_ms", grace_ms))
        return arguments


class GrpcServer:
    """Listens, answers, drains."""

    def __init__(
        self, calls: GrpcMethods, options: ServerOptions, outside: Outside | None = None
    ) -> None:
        self._calls = calls
        self._options = options
        self._health = Health(outside or {})
        self._server = grpc.aio.server(options=options.channel_arguments())
        self._probes: grpc.aio.Server | None = None
        self.address = ""
        self.health_address = ""

    async def start(self) -> None:
        """Listen; raises `CannotListen`. `address` then holds the actual port."""
        methods = self._calls.methods()
        watch = self._calls.calls.watch
        self._server.add_generic_rpc_handlers((Methods(methods, watch),))
        self._health.add_to(self._server)
        if self._options.reflection:
            _reflect(self._server)
        self._server.add_generic_rpc_handlers((Unknown(watch),))
        self.address = _listen(
            self._server, self._options.address, self._options.credentials
        )
        if self._options.health_address:
            # A probe speaks no TLS: it gets a port that can do nothing else.
            self._probes = grpc.aio.server(options=_PINGS)
            self._health.add_to(self._probes)
            self.health_address = _listen(self._probes, self._options.health_address)
            await self._probes.start()
        await self._server.start()
        await self._health.serving()

    async def drain(self, *, notice_s: float, grace_s: float) -> None:
        """NOT_SERVING first, then no new connections, then no new calls; finish those
        in flight.

        gRPC cancels the calls that arrive while it says that it stops. Where
        connections have an age, each is told to go when it comes to it, still served,
        and nothing arrives any more when the last one has gone.
        """
        await self._health.draining()
        await asyncio.sleep(notice_s)
        if self._options.connection_age_s:
            await self._outlast_connections(Port.at(self.address))
        self._calls.streams.drain()
        await self._server.stop(grace_s)
        if self._probes:
            await self._probes.stop(None)
        self._health.close()

    async def _outlast_connections(self, port: Port) -> None:
        port.close()
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + leaving_s(self._options.connection_age_s)
        # The kernel sets no event when the last one has gone.
        while port.connected and loop.time() < gives_up_at:  # noqa: ASYNC110
            await asyncio.sleep(_LOOKS_INTERVAL_S)


def _listen(
    server: grpc.aio.Server,
    address: str,
    credentials: grpc.ServerCredentials | None = None,
) -> str:
    """Bind; returns the address with its actual port."""
    checked(address)
    host = address.rpartition(":")[0]
    try:
        if credentials:
            port = server.add_secure_port(address, credentials)
        else:
            port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise CannotListen(f"{address}: cannot listen; is the port taken?") from error
    return f"{host}:{port}" if port > 1 else address


def _reflect(server: grpc.aio.Server) -> None:
    from grpc_reflection.v1alpha import reflection

    from scoring.v1 import fraud_scoring_pb2  # noqa: F401 - registers the descriptor

    names = (SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
