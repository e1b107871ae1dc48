"""The service with a pipeline of a known capacity: overload that a generator can reach.

Everything is real but the time a decision takes: one pass at a time, each check of it
`1 / per_s` seconds. `SCORING_…` settings as for `scoring serve`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import uvloop

from scoring.adapters.grpc_server import serve_until
from scoring.answer import Answer
from scoring.bootstrap import service_from
from scoring.ports import Check
from scoring.scorer import Scorer
from scoring.settings import Settings
from scoring.synchronous_door import grpc_door_from


@dataclass(slots=True)
class Throttled:
    """A pipeline that decides at most `per_s` checks a second, one pass at a time."""

    scorer: Scorer
    per_s: float
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def score_many(self, checks: Sequence[Check]) -> list[Answer]:
        """Decide, and take the time that it takes."""
        async with self._one:
            ends = time.monotonic() + len(checks) / self.per_s
            answers = await self.scorer.score_many(checks)
            await asyncio.sleep(ends - time.monotonic())
            return answers

    def __getattr__(self, name: str) -> object:
        return getattr(self.scorer, name)


async def serve(per_s: float) -> None:
    """Serve until SIGTERM; prints its address like the real server."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    settings = Settings()
    async with service_from(settings, name="throttled") as service:
        server = grpc_door_from(service)
        decisions = server._calls.checks.group.decisions  # noqa: SLF001
        decisions.pipeline = Throttled(service.scorer, per_s)
        await serve_until(
            server,
            told.wait,
            ready=lambda: print(f"serving grpc on {server.address}", flush=True),
            notice_s=0,
            grace_s=1,
        )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(float(sys.argv[1])))
