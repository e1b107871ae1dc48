"""One pass of the scorer for the small polls of several partitions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from scoring.pipeline.answer import Answer
from scoring.ports import Check

# What an exchange costs is shared by so many; a larger poll is a pass of its own.
PASS_MAX = 256
# How many passes may be in flight when so many checks wait: while one waits for the
# store, another uses the processor, if it is worth an exchange of its own. Fewer
# gather until the pass before them is over.
_IN_FLIGHT = ((PASS_MAX, 4), (16, 2), (1, 1))

Score = Callable[[list[Check]], Awaitable[list[Answer]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Share:
    """One poll's part of a pass."""

    checks: list[Check]
    answers: asyncio.Future[list[Answer]]


@dataclass(slots=True)
class SharedPasses:
    """Decides what is waiting, of whichever partition, in one pass.

    Nothing waits on a clock: a pass begins as soon as none is running, with all
    that came meanwhile, so a lone record waits for nothing and many share the cost.
    """

    score: Score
    _waiting: deque[_Share] = field(default_factory=deque)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def answers(self, checks: list[Check]) -> list[Answer]:
        """One answer a check; raises what the pass raised, for all who shared it."""
        share = _Share(checks, asyncio.get_running_loop().create_future())
        self._waiting.append(share)
        self._begin()
        return await share.answers

    def _begin(self) -> None:
        """Begin passes, unless what waits may as well gather."""
        while self._waiting and len(self._running) < self._allowed():
            task = asyncio.get_running_loop().create_task(self._pass(self._group()))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _allowed(self) -> int:
        waiting = sum(len(share.checks) for share in self._waiting)
        return next(passes for count, passes in _IN_FLIGHT if waiting >= count)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._begin()

    def _group(self) -> list[_Share]:
        """Whole polls in the order of their coming, up to the bound."""
        group: list[_Share] = []
        count = 0
        while self._waiting:
            count += len(self._waiting[0].checks)
            if group and count > PASS_MAX:
                break
            group.append(self._waiting.popleft())
        return group

    async def _pass(self, group: Sequence[_Share]) -> None:
        try:
            answers = await self.score([c for share in group for c in share.checks])
        except Exception as error:  # noqa: BLE001 - every share's owner decides
            for share in group:
                if not share.answers.done():
                    share.answers.set_exception(error)
            return
        start = 0
        for share in group:
            end = start + len(share.checks)
            if not share.answers.done():
                share.answers.set_result(answers[start:end])
            start = end
