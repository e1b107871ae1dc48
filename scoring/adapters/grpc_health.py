"""grpc.health.v1: readiness of the service, and liveness of the loop alone."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import _async, health_pb2, health_pb2_grpc

SERVICE = "scoring.v1.FraudScoring"
# Answered as long as the event loop runs, also while draining.
LIVENESS = "liveness"
_READINESS = ("", SERVICE)


class Health:
    """What the probes see.

    SERVING means "able to answer", degraded answers included: a lost store must
    not take every replica out of rotation at once.
    """

    def __init__(self) -> None:
        self._servicer: Any = _async.HealthServicer()

    async def serving(self) -> None:
        """Ready to answer."""
        await self._set(health_pb2.HealthCheckResponse.SERVING)
        await self._servicer.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)

    async def draining(self) -> None:
        """About to stop: send new calls elsewhere."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def _set(self, status: int) -> None:
        for service in _READINESS:
            await self._servicer.set(service, status)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the probes on this server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
