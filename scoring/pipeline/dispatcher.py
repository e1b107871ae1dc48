"""From a call to its answer: shed, shared, decided in a micro-batch, published."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from scoring.errors import DeadlineExceeded, ScoringError
from scoring.pipeline.answer import Answer, Decided
from scoring.pipeline.load_shedding import LoadShedding
from scoring.pipeline.micro_batcher import MicroBatcher, Waiting
from scoring.pipeline.publishing import Publish
from scoring.pipeline.single_flight import Flight, SingleFlight
from scoring.pipeline.stage_timer import Idle
from scoring.ports.check import Check

# Of a batch call, decided at a time: some 10 ms of the loop and of the store, for which
# others wait.
PIECE_COUNT_MAX = 128


class Scoring(Protocol):
    """Decides checks; `Scorer` is the one there is."""

    async def score_many(
        self, checks: Sequence[Check], *, idle: Idle | None = None, behind: int = 0
    ) -> list[Answer]:
        """One answer a check, in order. `idle` gets the waiting for the store, and
        `behind` further checks are decided after these, within the same time.
        """
        ...


@dataclass(slots=True)
class CallDecider:
    """Decides micro-batches of checks whose callers wait: the `MicroBatcher`'s decider.

    `publish` returns when replies may be sent (with `reply_after=log`, after the log).
    Each check must be the first of its flight.
    """

    scorer: Scoring
    flights: SingleFlight
    shedding: LoadShedding
    publish: Publish

    async def decide(
        self, checks: Sequence[Check], slot: AbstractContextManager[object]
    ) -> list[Answer]:
        """Shorten what there is no time for, decide and publish."""
        return await self.decide_piece(self.shedding.shortened(checks), slot)

    async def decide_piece(
        self,
        checks: Sequence[Check],
        slot: AbstractContextManager[object],
        *,
        behind: int = 0,
    ) -> list[Answer]:
        """The same for checks that are shortened already.

        `slot` is left when all that remains is to wait for the log; `behind` further
        checks are decided after these, within the same time.
        """
        answers: Sequence[Answer | None] = [None] * len(checks)
        try:
            with slot, self.shedding.measured(len(checks)) as idle:
                decided = await self.scorer.score_many(checks, idle=idle, behind=behind)
            await self.publish(checks, decided)
            answers = decided
        finally:
            for check, answer in zip(checks, answers, strict=True):
                self.flights.land(check, answer)
        return decided

    async def decide_anew(self, check: Check) -> Answer:
        """Decide a duplicate whose first was given up, or is late."""
        decided = await self.scorer.score_many([check])
        await self.publish([check], decided)
        return decided[0]

    def abandon(self, checks: Sequence[Check]) -> None:
        """Give these up: a duplicate that waits for them decides anew."""
        for check in checks:
            self.flights.land(check, None)


@dataclass(slots=True)
class Dispatcher:
    """Has the calls of one event loop decided: one check, or a batch of them."""

    batcher: MicroBatcher
    decider: CallDecider
    flights: SingleFlight
    shedding: LoadShedding
    _shared: set[asyncio.Task[None]] = field(default_factory=set)

    async def decide(self, check: Check, *, until: float | None = None) -> Decided:
        """Decide one check in a micro-batch with whatever else waits.

        Raises `Overloaded` at once, the `ScoringError` where there is no decision, and
        `DeadlineExceeded` where there is none by `until`.
        """
        if self.batcher.waiting_count:  # else a look at the true cost is always taken
            ahead = self.batcher.waiting_count + self.batcher.deciding_count
            self.shedding.refuse_late(check, ahead=ahead)
        waiting = asyncio.get_running_loop().create_future()
        timer = self.submit(check, waiting, until=until)
        try:
            answer: Answer = (await waiting)[0]
        finally:
            if timer is not None:
                timer.cancel()
        if isinstance(answer, ScoringError):
            raise answer
        return answer

    def submit(
        self, check: Check, to: Waiting, *, until: float | None = None
    ) -> asyncio.TimerHandle | None:
        """Have the check decided; `to` gets the answer. Raises `Overloaded`.

        Returns what gives it `DeadlineExceeded` at `until`, to be cancelled by whoever
        is answered before.
        """
        self.shedding.refuse_beyond(self.flights.count + 1)
        flight = self.flights.join(check)
        if flight is None:
            self.batcher.submit((check,), to)
        else:
            task = asyncio.get_running_loop().create_task(
                self._share(check, flight, to)
            )
            self._shared.add(task)
            task.add_done_callback(self._shared.discard)
        if until is None:
            return None
        # A bare timer: every check has one, and nearly none is ever due.
        return asyncio.get_running_loop().call_at(until, _expire, to)

    async def _share(self, check: Check, flight: Flight, to: Waiting) -> None:
        try:
            answer = await self._answer_of(check, flight)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            if not to.done():
                to.set_exception(error)
            return
        if not to.done():
            to.set_result([answer])

    async def _answer_of(self, check: Check, flight: Flight) -> Answer:
        answer = await self.flights.answer_of(check, flight)
        return await self.decider.decide_anew(check) if answer is None else answer

    async def decide_many(self, checks: Sequence[Check]) -> list[Answer]:
        """One answer a check, in order. Raises `Overloaded`."""
        self.shedding.refuse_beyond(self.flights.count + len(checks))
        flights = [self.flights.join(check) for check in checks]
        pairs = list(zip(checks, flights, strict=True))
        first = [check for check, flight in pairs if flight is None]
        decided = iter(await self._decide_in_pieces(first))
        return [
            next(decided) if flight is None else await self._answer_of(check, flight)
            for check, flight in pairs
        ]

    async def _decide_in_pieces(self, checks: Sequence[Check]) -> list[Answer]:
        """Decide no more at a time than callers beside them bear.

        A piece begins when the one before is decided, though it may wait for the log.
        """
        is_decided = asyncio.Semaphore(0)
        pieces: list[asyncio.Task[list[Answer]]] = []
        left = checks
        try:
            while left:
                left = self.shedding.shortened(left)
                piece, left = left[:PIECE_COUNT_MAX], left[PIECE_COUNT_MAX:]
                slot = ExitStack()
                slot.callback(is_decided.release)
                work = self.decider.decide_piece(piece, slot, behind=len(left))
                pieces.append(asyncio.get_running_loop().create_task(work))
                await is_decided.acquire()
            decided = await asyncio.gather(*pieces)
        finally:
            self.decider.abandon(left)
            for task in pieces:  # done, but where the caller left
                task.cancel()
            await asyncio.gather(*pieces, return_exceptions=True)
        return [answer for piece in decided for answer in piece]


def _expire(waiting: Waiting) -> None:
    if not waiting.done():
        waiting.set_exception(DeadlineExceeded())
