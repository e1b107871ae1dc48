"""The service with a pipeline of a known capacity: overload that a generator can reach.

Everything is real but the time a decision takes: one pass at a time, each check of it
`1 / per_s` seconds. `SCORING_…` settings as for `scoring serve`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop

from scoring.doors.calls.serving import serve_until
from scoring.doors.grpc.methods import GrpcMethods
from scoring.doors.grpc.status import Context, method
from scoring.errors import Overloaded
from scoring.pipeline.answer import Answer
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.stage_timer import Idle
from scoring.ports.check import Check
from scoring.ports.patience import StorePatience
from scoring.settings import Settings
from scoring.wiring.calls import calls_from
from scoring.wiring.grpc_app import grpc_door_from
from scoring.wiring.services import service_from


@dataclass(slots=True)
class Throttled:
    """A pipeline that decides at most `per_s` checks a second, one pass at a time."""

    scorer: Scorer
    per_s: float
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def score_many(
        self, checks: Sequence[Check], *, idle: Idle | None = None, behind: int = 0
    ) -> list[Answer]:
        """Decide, and take the time that it takes."""
        async with self._one:
            ends = time.monotonic() + len(checks) / self.per_s
            answers = await self.scorer.score_many(checks, idle=idle, behind=behind)
            await asyncio.sleep(ends - time.monotonic())
            return answers

    def __getattr__(self, name: str) -> object:
        return getattr(self.scorer, name)


@dataclass(slots=True)
class Timed:
    """The calls of a server, and how long each refused check took from its receipt."""

    calls: GrpcMethods
    refused_ms: list[float] = field(default_factory=list)

    def methods(self) -> dict[str, Any]:
        """By method name, over raw bytes."""
        return {**self.calls.methods(), "CheckTransaction": method(self.check)}

    def __getattr__(self, name: str) -> object:
        return getattr(self.calls, name)

    async def check(self, raw: bytes, context: Context) -> bytes:
        """CheckTransaction, timed where it is refused."""
        began = time.perf_counter()
        try:
            return await self.calls.check(raw, context)
        except Overloaded:
            self.refused_ms.append((time.perf_counter() - began) * 1e3)
            raise


async def serve(per_s: float) -> None:
    """Serve until SIGTERM; prints its address like the real server.

    Its last line is a JSON list: milliseconds that each refused check took.
    """
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    settings = Settings()
    async with service_from(
        settings, name="throttled", patience=StorePatience.ANSWER_IN_TIME
    ) as service:
        server = grpc_door_from(service, calls_from(service))
        decider = server._calls.calls.checks.dispatcher.decider  # noqa: SLF001
        decider.scorer = Throttled(service.scorer, per_s)
        timed = Timed(server._calls)  # noqa: SLF001
        server._calls = timed  # type: ignore[assignment]  # noqa: SLF001
        await serve_until(
            [server],
            told.wait,
            ready=lambda: print(f"serving grpc on {server.address}", flush=True),
            notice_s=0,
            grace_s=1,
        )
    print(json.dumps(timed.refused_ms), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(float(sys.argv[1])))
