"""The wiring of the gRPC door: its part of the composition root."""

from __future__ import annotations

import time
from functools import partial

from scoring.core.decision.decision import Door
from scoring.doors.calls.shared_calls import SharedCalls
from scoring.doors.grpc.check_stream import Streams
from scoring.doors.grpc.methods import GrpcMethods
from scoring.doors.grpc.server import GrpcServer, ServerOptions
from scoring.doors.grpc.tls import credentials_of
from scoring.wiring.calls import shown_certificates
from scoring.wiring.services import Service


def grpc_door_from(
    service: Service, calls: SharedCalls, *, shares_port: bool = False
) -> GrpcServer:
    """The gRPC door of a service, not yet listening; raises `BadArtifact`."""
    checks = calls.checks
    streams = Streams(
        *(calls.intake, checks.dispatcher, checks.message_bytes_max),
        *(time.monotonic, calls.watch),
    )
    options = _server_options(service, shares_port=shares_port)
    return GrpcServer(GrpcMethods(calls, streams), options, service.outside)


def _server_options(service: Service, *, shares_port: bool) -> ServerOptions:
    settings, files = service.settings, shown_certificates(service)
    begun = partial(service.calls.handshake, Door.GRPC)
    return ServerOptions(
        address=settings.grpc_address,
        message_bytes_max=settings.message_bytes_max,
        streams_max=settings.grpc_streams_max,
        shares_port=shares_port,
        connection_age_s=settings.grpc_connection_age_s,
        connection_grace_s=settings.drain_s,
        health_address=settings.grpc_health_address,
        reflection=settings.reflection,
        credentials=credentials_of(files, begun) if files else None,
    )
