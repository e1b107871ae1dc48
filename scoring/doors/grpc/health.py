"""grpc.health.v1: readiness of the service, and liveness of the loop alone."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import _async, health_pb2, health_pb2_grpc

from scoring.doors.calls.serving import Outside

SERVICE = "scoring.v1.FraudScoring"
# Answered as long as the event loop runs, also while draining.
LIVENESS = "liveness"
_READINESS = ("", SERVICE)
_LOOKS_INTERVAL_S = 0.5


class Health:
    """What the probes see.

    SERVING means "able to answer", degraded answers included: a lost store must
    not take every replica out of rotation at once. The systems `outside` are services
    of their own, by name: `store` is NOT_SERVING while nobody asks the store.
    """

    def __init__(self, outside: Outside) -> None:
        self._servicer: Any = _async.HealthServicer()
        self._outside = outside
        self._following: asyncio.Task[None] | None = None

    async def serving(self) -> None:
        """Ready to answer."""
        await self._set(health_pb2.HealthCheckResponse.SERVING)
        await self._servicer.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        told: dict[str, bool] = {}
        while True:
            for system, is_available in self._outside.items():
                if told.get(system) is not (now := is_available()):
                    told[system] = now
                    await self._servicer.set(
                        system,
                        health_pb2.HealthCheckResponse.SERVING
                        if now
                        else health_pb2.HealthCheckResponse.NOT_SERVING,
                    )
            await asyncio.sleep(_LOOKS_INTERVAL_S)

    def close(self) -> None:
        """Look no more at the systems outside."""
        if self._following is not None:
            self._following.cancel()

    async def draining(self) -> None:
        """About to stop: send new calls elsewhere."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def _set(self, status: int) -> None:
        for service in _READINESS:
            await self._servicer.set(service, status)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the probes on this server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
