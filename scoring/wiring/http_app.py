"""The wiring of the HTTP door: its part of the composition root."""

from __future__ import annotations

import time
from functools import cache, partial

from scoring.core.decision.decision import Door
from scoring.doors.calls.shared_calls import SharedCalls
from scoring.doors.http.app import HttpApp
from scoring.doors.http.methods import HttpMethods
from scoring.doors.http.server import HttpOptions, HttpServer
from scoring.doors.http.tls import Handshakes, context_of
from scoring.wire import openapi
from scoring.wiring.calls import shown_certificates
from scoring.wiring.services import Service


def http_door_from(
    service: Service, calls: SharedCalls, *, shares_port: bool = False
) -> HttpServer:
    """The HTTP door of a service, not yet listening; raises `BadArtifact`."""
    settings = service.settings
    files = shown_certificates(service)
    app = HttpApp(
        HttpMethods(calls, service.scorer.artifacts.catalogue),
        calls.watch,
        time.monotonic,
        service.outside,
        cache(openapi.rendered),
    )
    watch = calls.watch
    heard = Handshakes(partial(watch.telemetry.handshake, Door.HTTP), watch.tls_failed)
    options = HttpOptions(
        address=settings.http_address,
        shares_port=shares_port,
        connections_max=settings.http_connections_max,
        connections_per_address_max=settings.http_connections_per_address_max,
        connection_age_s=settings.http_connection_age_s,
        idle_s=settings.http_idle_s,
        certificates=context_of(files, heard) if files else None,
        unheard=app.unheard,
    )
    return HttpServer(app, options)
