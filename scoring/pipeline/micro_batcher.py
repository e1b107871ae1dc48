"""What waits is decided together: one micro-batch is one exchange with the store."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from scoring.pipeline.answer import Answer
from scoring.ports.check import Check

# What an exchange costs is shared by so many; more make the first of them wait.
BATCH_COUNT_MAX = 256
# Worth an exchange of their own: fewer gather until the micro-batch before is decided.
ENOUGH_COUNT = 16
# A check that has less than so many times the gathering to spend does not gather.
_PATIENT = 8


class Decider(Protocol):
    """Decides micro-batches."""

    async def decide(
        self, checks: Sequence[Check], slot: AbstractContextManager[object]
    ) -> list[Answer]:
        """One answer a check, in order; what it raises is raised to all of them.

        `slot` is left once the next micro-batch may be decided: answers may be held
        back for longer.
        """
        ...

    def abandon(self, checks: Sequence[Check]) -> None:
        """These are not decided: their caller left before."""
        ...


class Waiting(Protocol):
    """Who waits for answers: a future, or what behaves like one."""

    def done(self) -> bool:
        """Whether the answers are there, or wanted no more."""
        ...

    def set_result(self, answers: list[Answer], /) -> None:
        """Receive one answer a check; called once, unless done."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """Receive why there are none; called once, unless done."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """When a micro-batch begins, and how many are decided at a time.

    Few checks begin when `quiet_turns` turns of the event loop brought no more, and at
    least `gather_s` after the micro-batch before; many begin at once. With
    `full_in_flight_max`, so many micro-batches may be in flight where another one could
    be filled.
    """

    full_in_flight_max: int = 2
    quiet_turns: int = 0
    gather_s: float = 0.0

    def in_flight_max(self, waiting_count: int) -> int:
        """How many may be in flight where so many checks wait.

        While one waits for the store, another uses the processor.

        >>> [Pacing(full_in_flight_max=4).in_flight_max(n) for n in (15, 16, 256)]
        [1, 2, 4]
        """
        if waiting_count >= BATCH_COUNT_MAX:
            return self.full_in_flight_max
        return 2 if waiting_count >= ENOUGH_COUNT else 1


@dataclass(slots=True)
class MicroBatcher:
    """Decides what waits, whichever caller brought it, in micro-batches.

    What is submitted together stays together, in order. While a micro-batch is being
    decided the next one gathers: a lone check waits for nothing, and under load many
    share what an exchange costs. `waiting_count` and `deciding_count` are checks.
    """

    decider: Decider
    pacing: Pacing = field(default_factory=Pacing)
    waiting_count: int = 0
    deciding_count: int = 0
    _waiting: deque[tuple[Sequence[Check], Waiting]] = field(default_factory=deque)
    _in_flight: int = 0
    _began_at: float = -inf
    _is_beginning: bool = False
    _is_gathering: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def answers(self, checks: Sequence[Check]) -> list[Answer]:
        """One answer a check; raises what deciding the micro-batch raised."""
        waiting = asyncio.get_running_loop().create_future()
        self.submit(checks, waiting)
        answers: list[Answer] = await waiting
        return answers

    def submit(self, checks: Sequence[Check], to: Waiting) -> None:
        """Have these checks decided; `to` gets the answers. Never blocks."""
        self._waiting.append((checks, to))
        self.waiting_count += len(checks)
        self._next()

    def _next(self) -> None:
        """Begin a micro-batch, unless what waits may as well gather."""
        if self._is_beginning or not self._waiting:
            return
        if self._in_flight >= self.pacing.in_flight_max(self.waiting_count):
            return
        if self.waiting_count >= ENOUGH_COUNT or not self.pacing.quiet_turns:
            self._begin()
        elif not self._is_gathering:
            self._gather()

    def _gather(self) -> None:
        self._is_gathering = True
        loop = asyncio.get_running_loop()
        left_s = self._began_at + self.pacing.gather_s - loop.time()
        turns = self.pacing.quiet_turns
        if left_s > 0 and not self._is_hurried(loop.time()):
            loop.call_later(left_s, self._listen, turns, 0)
        else:
            self._listen(turns, 0)

    def _is_hurried(self, now: float) -> bool:
        """Whether the newest has no time to spare."""
        deadline = self._waiting[-1][0][-1].deadline
        return deadline is not None and deadline - now < _PATIENT * self.pacing.gather_s

    def _listen(self, turns: int, heard: int) -> None:
        """Begin when so many turns of the loop brought no more, or enough wait."""
        count = self.waiting_count
        if count < ENOUGH_COUNT and (turns or count > heard):
            left = self.pacing.quiet_turns if count > heard else turns - 1
            asyncio.get_running_loop().call_soon(self._listen, left, count)
            return
        self._is_gathering = False
        if self._waiting and not self._in_flight:
            self._begin()

    def _begin(self) -> None:
        """Begin in the next turn of the loop: who comes in this one is taken along."""
        self._in_flight += 1
        self._is_beginning = True
        loop = asyncio.get_running_loop()
        self._began_at = loop.time()
        task = loop.create_task(self._decide())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _decide(self) -> None:
        batch = self._take()
        checks = [check for submitted, _ in batch for check in submitted]
        self.deciding_count += len(checks)
        with ExitStack() as slot:
            slot.callback(self._release, len(checks))
            self._is_beginning = False
            self._next()  # more may wait than one micro-batch holds
            if batch:
                await self._answer(batch, checks, slot)

    async def _answer(
        self,
        batch: Sequence[tuple[Sequence[Check], Waiting]],
        checks: Sequence[Check],
        slot: ExitStack,
    ) -> None:
        try:
            answers = await self.decider.decide(checks, slot)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, and decides
            for _, to in batch:
                if not to.done():
                    to.set_exception(error)
            return
        start = 0
        for submitted, to in batch:
            end = start + len(submitted)
            if not to.done():
                to.set_result(answers[start:end])
            start = end

    def _take(self) -> list[tuple[Sequence[Check], Waiting]]:
        """Whole submissions in the order of their coming, up to the bound.

        What nobody waits for any more is dropped.
        """
        batch: list[tuple[Sequence[Check], Waiting]] = []
        count = 0
        while self._waiting:
            checks, to = self._waiting[0]
            if to.done():
                self.decider.abandon(checks)
            elif batch and count + len(checks) > BATCH_COUNT_MAX:
                break
            else:
                batch.append((checks, to))
                count += len(checks)
            self._waiting.popleft()
            self.waiting_count -= len(checks)
        return batch

    def _release(self, count: int) -> None:
        self.deciding_count -= count
        self._in_flight -= 1
        # Soon, not now: those who were just answered go before those who wait.
        asyncio.get_running_loop().call_soon(self._next)
