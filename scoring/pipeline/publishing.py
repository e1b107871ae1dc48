"""When a reply may leave: once its decision outlives this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from scoring.pipeline.answer import Answer, Decided
from scoring.pipeline.outbox_relay import OutboxRelay
from scoring.pipeline.steps import Step, reached
from scoring.ports.check import Check

Publish = Callable[[Sequence[Check], Sequence[Answer]], Awaitable[None]]

# Kept back for the reply's own way, seconds.
_REPLY_S = 0.005


async def publish_nothing(_checks: Sequence[Check], _answers: Sequence[Answer]) -> None:
    """There is no log: decisions stay in the record."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """Hands decisions to the relay; with `waits` a reply comes after the log.

    So it does where nothing else could keep it (the store is unavailable and the disk
    full), unless its time is over: then it is a matter of this process's life.
    """

    relay: OutboxRelay
    waits: bool

    async def __call__(
        self, checks: Sequence[Check], answers: Sequence[Answer]
    ) -> None:
        """Return when the replies may be sent; raises `LogUnavailable`."""
        handed: list[asyncio.Future[None]] = []
        alone: list[tuple[float, asyncio.Future[None]]] = []
        for check, answer in zip(checks, answers, strict=True):
            if not isinstance(answer, Decided) or answer.logged is None:
                continue
            done = self.relay.publish(
                check.transaction,
                answer.logged,
                provisional=answer.provisional,
                check=check,
            )
            handed.append(done)
            if not answer.outlives and check.deadline is not None:
                alone.append((check.deadline, done))
        reached(Step.HANDED_ON)
        if self.waits and handed:
            await asyncio.gather(*handed)
        elif alone:
            ends = min(deadline for deadline, _ in alone) - _REPLY_S
            left_s = ends - asyncio.get_running_loop().time()
            if left_s > 0:
                await asyncio.wait([done for _, done in alone], timeout=left_s)
