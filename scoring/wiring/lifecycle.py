"""A process says when it starts, is ready, drains and ends."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from scoring.pipeline.batch import Artifacts

log = logging.getLogger(__name__)


class Lifecycle:
    """One process, from before anything of it is built."""

    def __init__(self, door: str, worker: int) -> None:
        self._door, self._worker = door, worker
        self._began_at = self._since = time.monotonic()

    def starts(self, artifacts: Artifacts) -> None:
        """Its settings are right, and what it decides with is loaded."""
        log.info(
            "%s starts",
            self._door,
            extra={
                "version": version("fraud-scoring"),
                "pid": os.getpid(),
                "worker": self._worker,
                "model": artifacts.model.version,
                "policy": artifacts.in_force.policy.version,
                "definitions": artifacts.catalogue.version,
            },
        )

    def ready(self, **where: str) -> None:
        """It can answer."""
        took_s = time.monotonic() - self._began_at
        more = {name: each for name, each in where.items() if each}
        log.info("%s is ready after %.1f s", *(self._door, took_s), extra=more)

    async def until(self, told: Callable[[], Awaitable[object]]) -> None:
        """Say that it drains as soon as it is told to stop."""
        await told()
        self._since = time.monotonic()
        log.info("%s drains", self._door)

    def ended(self) -> None:
        """All that was in flight is answered, or its time was over."""
        took_s = time.monotonic() - self._since
        log.info("%s has drained in %.1f s and ends", *(self._door, took_s))
