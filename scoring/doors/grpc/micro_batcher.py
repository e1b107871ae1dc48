"""Group commit: one pass decides all that is waiting, whichever call brought it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

from scoring.doors.grpc.single_flight import RETRY_AFTER_MS, Decisions, Following
from scoring.errors import Overloaded
from scoring.pipeline.answer import Answer, Decided
from scoring.ports import Check

# A group is one exchange with the store: longer ones make the first of them wait.
GROUP_COUNT_MAX = 256
# While one group waits for the store another can be decided.
_GROUPS_IN_FLIGHT_MAX = 2
# Worth an exchange of their own: fewer gather until the group before them is decided.
_ENOUGH_COUNT = 16
# gRPC hands over one call every few turns of the loop, and a pass takes a whole turn:
# begun at each call, passes are of one, and the queue stands in gRPC, unseen. So a
# group begins when so many turns brought nobody: some microseconds where nothing waits.
_QUIET_TURNS = 8
# What is ahead of a call, and it, may take this share of its time: the rest is for what
# a mean does not know.
_WAIT_SHARE_MAX = 0.7
# Kept back for the reply's way to the caller, seconds.
_REPLY_S = 0.003
# Whoever has less than so many times the gathering to spend is not made to wait.
_PATIENT = 8


class Waiting(Protocol):
    """Who waits for an answer."""

    @property
    def gone(self) -> bool:
        """Whether nobody is interested any more."""
        ...

    def take(self, check: Check, answer: Answer | Exception) -> None:
        """Receive the answer; called once, unless gone."""
        ...


class _Call:
    """A unary call: its task awaits `done`, and cancels it when the caller leaves."""

    __slots__ = ("done",)

    def __init__(self, done: asyncio.Future[Decided]) -> None:
        self.done = done

    @property
    def gone(self) -> bool:
        return self.done.done()

    def take(self, _check: Check, answer: Answer | Exception) -> None:
        if self.done.done():
            return
        if isinstance(answer, Exception):
            self.done.set_exception(answer)
        else:
            self.done.set_result(answer)


@dataclass(slots=True)
class GroupCommit:
    """Decides what is waiting, on whatever stream or call, in one pass.

    While a group is being decided the next one gathers, and groups begin at least
    `gather_s` apart unless many wait: alone a check waits for nothing, and under load
    many share what an exchange costs.
    """

    decisions: Decisions
    gather_s: float = 0.0
    _began_at: float = -inf
    _gathering: bool = False
    _waiting: deque[tuple[Check, Waiting]] = field(default_factory=deque)
    _running: int = 0
    _deciding: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def decide(self, check: Check, *, until: float | None = None) -> Decided:
        """Decide one check together with whatever else is waiting.

        Raises `Overloaded` when overloaded, at once, the `ScoringError` where there is
        no decision, and `TimeoutError` where there is none by `until`.
        """
        self._refuse_late(check)
        loop = asyncio.get_running_loop()
        call = _Call(loop.create_future())
        timer = self.submit(check, call, until=until)
        try:
            return await call.done
        finally:
            if timer is not None:
                timer.cancel()

    def _refuse_late(self, check: Check) -> None:
        """Refuse what those ahead leave no time for: its caller can still do something.

        Never while nobody waits: a look at the true cost is always taken.
        """
        if not self._waiting or check.deadline is None:
            return
        left_s = check.deadline - self.decisions.monotonic() - _REPLY_S
        ahead = len(self._waiting) + self._deciding
        if (ahead + 1) * self.decisions.check_s > _WAIT_SHARE_MAX * left_s:
            raise Overloaded(retry_after_ms=RETRY_AFTER_MS)

    def submit(
        self, check: Check, to: Waiting, *, until: float | None = None
    ) -> asyncio.TimerHandle | None:
        """Have the check decided; `to` gets the answer. Raises `Overloaded`.

        Returns what gives it a `TimeoutError` at `until`, to be cancelled by whoever
        is answered before.
        """
        self.decisions.refuse_overload(1)
        following = self.decisions.claim(check)
        if following is not None:
            self._start(self._follow(check, following, to))
        else:
            self._waiting.append((check, to))
            self._next()
        if until is None:
            return None
        # A bare timer: every check has one, and nearly none is ever due.
        loop = asyncio.get_running_loop()
        return loop.call_at(until, to.take, check, TimeoutError())

    def _next(self) -> None:
        """Begin a group, unless what waits may as well gather."""
        if not self._waiting or self._running >= _GROUPS_IN_FLIGHT_MAX:
            return
        if len(self._waiting) >= _ENOUGH_COUNT:
            self._begin()
        elif not (self._running or self._gathering):
            self._gathering = True
            loop = asyncio.get_running_loop()
            left_s = self._began_at + self.gather_s - loop.time()
            if left_s > 0 and not self._hurried(loop.time()):
                loop.call_later(left_s, self._listen, _QUIET_TURNS, 0)
            else:
                self._listen(_QUIET_TURNS, 0)

    def _listen(self, turns: int, heard: int) -> None:
        """Begin when so many turns of the loop brought nobody, or enough wait."""
        count = len(self._waiting)
        if count < _ENOUGH_COUNT and (turns or count > heard):
            left = _QUIET_TURNS if count > heard else turns - 1
            asyncio.get_running_loop().call_soon(self._listen, left, count)
            return
        self._gathering = False
        if self._waiting and not self._running:
            self._begin()

    def _begin(self) -> None:
        self._running += 1
        self._began_at = asyncio.get_running_loop().time()
        self._start(self._run())

    def _hurried(self, now: float) -> bool:
        """Whether the newest has no time to give away."""
        deadline = self._waiting[-1][0].deadline
        return deadline is not None and deadline - now < _PATIENT * self.gather_s

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        group = self._next_group()
        if not group:
            self._free()
            return
        checks = self.decisions.shortened([check for check, _ in group])
        answers: Sequence[Answer | Exception]
        self._deciding += len(group)

        def scored() -> None:
            self._deciding -= len(group)
            self._free()

        try:
            answers = await self.decisions.lead(checks, scored=scored)
        except Exception as error:  # noqa: BLE001 - every item gets the status
            answers = [error] * len(group)
        for (check, to), answer in zip(group, answers, strict=True):
            to.take(check, answer)

    def _free(self) -> None:
        self._running -= 1
        # Soon, not now: those who were just answered go before those who wait.
        asyncio.get_running_loop().call_soon(self._next)

    async def _follow(self, check: Check, following: Following, to: Waiting) -> None:
        try:
            to.take(check, await self.decisions.answer_of(check, following))
        except Exception as error:  # noqa: BLE001 - the edge translates everything
            to.take(check, error)

    def _next_group(self) -> list[tuple[Check, Waiting]]:
        count = min(len(self._waiting), GROUP_COUNT_MAX)
        group = []
        for _ in range(count):
            check, to = self._waiting.popleft()
            if to.gone:  # work for a caller who has gone is dropped
                self.decisions.abandon(check)
            else:
                group.append((check, to))
        return group
