"""One pass for many checks: duplicates coalesce, short time goes to large amounts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Protocol

from scoring.core.transaction.transaction import Transaction
from scoring.errors import Overloaded
from scoring.pipeline.answer import Answer, Decided
from scoring.pipeline.outbox_relay import Publisher
from scoring.pipeline.stage_timer import Idle
from scoring.pipeline.steps import Step, reached
from scoring.ports import Check

Key = tuple[str, str, bytes, bool]
Following = asyncio.Future[Answer | None]
Publish = Callable[[Sequence[Check], Sequence[Answer]], Awaitable[None]]

# Decided in one pass: some 10 ms of the loop and of the store, for which others wait.
PIECE_COUNT_MAX = 128
# What the short path costs of a check: it is decided and encoded all the same.
_SHORT_SHARE = 0.3
# What one more pass weighs in the running mean of the time per check.
_NEWEST_WEIGHT = 0.5
# Long enough for a burst to pass, short against a person waiting at a till.
RETRY_AFTER_MS = 200
# Kept back for the reply's own way, seconds.
_REPLY_RESERVE_S = 0.005
# Kept back by a follower for an answer of its own, seconds.
_FOLLOWER_RESERVE_S = 0.003


class Pipeline(Protocol):
    """Decides checks; `Scorer` is the one there is."""

    async def score_many(
        self, checks: Sequence[Check], *, idle: Idle | None = None, behind: int = 0
    ) -> list[Answer]:
        """One answer a check, in order. `idle` gets the waiting for the store, and
        `behind` further checks are decided after these, within the same time.
        """
        ...


async def publish_nothing(_checks: Sequence[Check], _answers: Sequence[Answer]) -> None:
    """There is no log: decisions stay in the record."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """Hands decisions to the publisher; with `waits` a reply comes after the log.

    So it does where nothing else could keep it (the store is away and the disk full),
    unless its time is over: then it is a matter of this process's life.
    """

    publisher: Publisher
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
            done = self.publisher.publish(
                check.transaction, answer.logged, provisional=answer.provisional
            )
            handed.append(done)
            if not answer.outlives and check.deadline is not None:
                alone.append((check.deadline, done))
        reached(Step.HANDED_ON)
        if self.waits and handed:
            await asyncio.gather(*handed)
        elif alone:
            ends = min(deadline for deadline, _ in alone) - _REPLY_RESERVE_S
            left_s = ends - asyncio.get_running_loop().time()
            if left_s > 0:
                await asyncio.wait([done for _, done in alone], timeout=left_s)


def _go_on() -> None:
    """Nobody waits for the pipeline to be free."""


@dataclass(slots=True)
class Decisions:
    """Decides what the calls of one event loop bring.

    Concurrent duplicates wait for the first and share its bytes. At most
    `checks_max` are decided at a time, the rest is turned away at once. `publish`
    returns when a reply may be sent (with `reply_after=log`, after the log).
    `amount` is a transaction's in one currency, None where its rate is not known.
    """

    pipeline: Pipeline
    publish: Publish
    monotonic: Callable[[], float]
    amount: Callable[[Transaction], int | None]
    checks_max: int = 4_096
    # Running mean of what one check costs, without the waiting for the store: that
    # ends at each check's own deadline, with an answer, and is no more for many.
    check_s: float = 0.0002
    _seen_s: float = 0.0
    _scored_count: int = 0
    _inflight: dict[Key, Following | None] = field(default_factory=dict)

    async def decide(self, checks: Sequence[Check]) -> list[Answer]:
        """One answer a check, in order. Raises `Overloaded` when overloaded."""
        self.refuse_overload(len(checks))
        mine: list[Check] = []
        followed: dict[int, Following] = {}
        for i, check in enumerate(checks):
            following = self.claim(check)
            if following is None:
                mine.append(check)
            else:
                followed[i] = following
        answers = await self._in_pieces(mine)
        if not followed:
            return answers
        own = iter(answers)
        return [
            await self.answer_of(check, followed[i]) if i in followed else next(own)
            for i, check in enumerate(checks)
        ]

    async def _in_pieces(self, checks: Sequence[Check]) -> list[Answer]:
        """Decide claimed checks, no more at a time than callers beside them bear.

        Where replies wait for the log, a piece waits while the next is decided.
        """
        leading: list[asyncio.Task[list[Answer]]] = []
        left: Sequence[Check] = checks
        try:
            while left:
                left = self.shortened(left)
                piece, left = left[:PIECE_COUNT_MAX], left[PIECE_COUNT_MAX:]
                scored = asyncio.Event()
                lead = self.lead(piece, scored=scored.set, behind=len(left))
                leading.append(asyncio.get_running_loop().create_task(lead))
                await scored.wait()
            pieces = await asyncio.gather(*leading)
        finally:
            for check in left:
                self.abandon(check)
            for task in leading:  # done, but where the caller left
                task.cancel()
            await asyncio.gather(*leading, return_exceptions=True)
        return [answer for piece in pieces for answer in piece]

    def refuse_overload(self, count: int) -> None:
        """Raise `Overloaded` where so many more are too many."""
        if len(self._inflight) + count > self.checks_max:
            raise Overloaded(retry_after_ms=RETRY_AFTER_MS)

    def claim(self, check: Check) -> Following | None:
        """None where nobody decides this check: the caller must `lead` or `abandon` it.

        Otherwise what `answer_of` takes.
        """
        key = _key(check)
        if key not in self._inflight:
            self._inflight[key] = None
            return None
        waiting = self._inflight[key]
        if waiting is None:
            waiting = asyncio.get_running_loop().create_future()
            self._inflight[key] = waiting
        return waiting

    def abandon(self, check: Check) -> None:
        """Give up a claim: its caller has gone, and whoever followed decides anew."""
        self._settle(check, None)

    def shortened(self, checks: Sequence[Check]) -> Sequence[Check]:
        """The same checks; where time is short, small amounts take the short path.

        Their deadline becomes now: they are answered without history, flagged, so
        that large amounts keep the full path. The order stays: it is the order of
        the features. Amounts are compared in one currency; one that the rate table
        lacks may be the largest, and keeps the full path.
        """
        now = self.monotonic()
        left_s = max((c.deadline or now + 1.0) for c in checks) - now
        short_s = _SHORT_SHARE * self.check_s
        left_s -= len(checks) * short_s
        fits = int(left_s / (self.check_s - short_s))
        if fits >= len(checks):
            return checks
        values = [self.amount(check.transaction) for check in checks]
        by_amount = sorted(
            range(len(checks)), key=lambda i: -inf if (v := values[i]) is None else -v
        )
        short = frozenset(by_amount[max(fits, 1) :])
        return [
            replace(check, deadline=now) if i in short else check
            for i, check in enumerate(checks)
        ]

    async def lead(
        self,
        checks: Sequence[Check],
        *,
        scored: Callable[[], None] = _go_on,
        behind: int = 0,
    ) -> list[Answer]:
        """Decide claimed checks; one answer a check, in order.

        `scored` is called once, when all that may be left is to wait for the log;
        `behind` further checks are decided after these, within the same time.
        """
        started, idle, others = self.monotonic(), Idle(), self._scored_count
        answers: Sequence[Answer | None] = [None] * len(checks)
        try:
            try:
                decided = await self.pipeline.score_many(
                    checks, idle=idle, behind=behind
                )
            finally:
                took_s = self.monotonic() - started - idle.seconds
                self._scored_count += len(checks)
                # What the loop did for passes beside this one is their cost, too.
                self._learn(took_s / (self._scored_count - others))
                scored()
            await self.publish(checks, decided)
            answers = decided
        finally:
            for check, answer in zip(checks, answers, strict=True):
                self._settle(check, answer)
        return decided

    def _learn(self, seen_s: float) -> None:
        # Two passes in a row must say so: one may just have been held up.
        believed_s, self._seen_s = min(seen_s, self._seen_s), seen_s
        self.check_s += _NEWEST_WEIGHT * (believed_s - self.check_s)

    def _settle(self, check: Check, answer: Answer | None) -> None:
        waiting = self._inflight.pop(_key(check), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def answer_of(self, check: Check, following: Following) -> Answer:
        """The first one's answer; decided anew where that caller left or is late."""
        patience_s = None
        if check.deadline is not None:
            patience_s = check.deadline - self.monotonic() - _FOLLOWER_RESERVE_S
            patience_s = max(patience_s, 0.0)
        await asyncio.wait((following,), timeout=patience_s)
        answer = following.result() if following.done() else None
        if answer is None:
            decided = await self.pipeline.score_many([check])
            await self.publish([check], decided)
            return decided[0]
        if isinstance(answer, Decided):
            return replace(answer, first=False, logged=None)
        return answer


def _key(check: Check) -> Key:
    t = check.transaction
    return (t.tenant, t.id, check.payload_hash, check.dry_run)
