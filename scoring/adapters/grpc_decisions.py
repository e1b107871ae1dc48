"""One pass for many checks: duplicates coalesce, short time goes to large amounts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from scoring.adapters.grpc_status import Refused, overloaded
from scoring.answer import Answer, Decided
from scoring.ports import Check
from scoring.publisher import Publisher

Key = tuple[str, str, bytes, bool]
Publish = Callable[[Sequence[Check], Sequence[Answer]], Awaitable[None]]

# What one more observation weighs in the running mean of the time per check.
_NEWEST_WEIGHT = 0.1
# Smaller groups mostly wait for the store: they say nothing about the cost of many.
_TELLING_COUNT_MIN = 32
# Kept back by a follower for an answer of its own, seconds.
_FOLLOWER_RESERVE_S = 0.003


class Pipeline(Protocol):
    """Decides checks; `Scorer` is the one there is."""

    async def score_many(self, checks: Sequence[Check]) -> list[Answer]:
        """One answer a check, in order."""
        ...


async def publish_nothing(_checks: Sequence[Check], _answers: Sequence[Answer]) -> None:
    """There is no log: decisions stay in the record."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """Hands decisions to the publisher; with `waits` a reply comes after the log."""

    publisher: Publisher
    waits: bool

    async def __call__(
        self, checks: Sequence[Check], answers: Sequence[Answer]
    ) -> None:
        """Return when the replies may be sent; raises `LogUnavailable`."""
        handed = [
            self.publisher.publish(
                check.transaction, answer.logged, provisional=answer.provisional
            )
            for check, answer in zip(checks, answers, strict=True)
            if isinstance(answer, Decided) and answer.logged is not None
        ]
        if self.waits and handed:
            await asyncio.gather(*handed)


@dataclass(slots=True)
class Decisions:
    """Decides what the calls of one event loop bring.

    Concurrent duplicates wait for the first and share its bytes. At most
    `checks_max` are decided at a time, the rest is turned away at once. `publish`
    returns when a reply may be sent (with `reply_after=log`, after the log).
    """

    pipeline: Pipeline
    publish: Publish
    monotonic: Callable[[], float]
    checks_max: int = 4_096
    check_s: float = 0.0002  # running mean of one check in a batch
    _deciding: int = 0
    _inflight: dict[Key, asyncio.Future[Answer | None] | None] = field(
        default_factory=dict
    )

    async def decide(self, checks: Sequence[Check]) -> list[Answer]:
        """One answer a check, in order. Raises `Refused` when overloaded."""
        if self._deciding + len(checks) > self.checks_max:
            raise Refused(overloaded())
        mine: list[Check] = []
        followed: dict[int, asyncio.Future[Answer | None]] = {}
        for i, check in enumerate(checks):
            key = _key(check)
            if key in self._inflight:
                followed[i] = self._follow(key)
            else:
                self._inflight[key] = None
                mine.append(check)
        answers = await self._lead(mine) if mine else []
        if not followed:
            return answers
        own = iter(answers)
        return [
            await self._answer_of(check, followed[i]) if i in followed else next(own)
            for i, check in enumerate(checks)
        ]

    def shortened(self, checks: Sequence[Check]) -> Sequence[Check]:
        """The same checks; where time is short, small amounts take the short path.

        Their deadline becomes now: they are answered without history, flagged, so
        that large amounts keep the full path. The order stays: it is the order of
        the features. Amounts are compared in minor units across currencies, a
        rough order of value at risk that needs no rate table.
        """
        now = self.monotonic()
        left_s = max((c.deadline or now + 1.0) for c in checks) - now
        fits = int(left_s / self.check_s)
        if fits >= len(checks):
            return checks
        by_amount = sorted(
            range(len(checks)), key=lambda i: -checks[i].transaction.amount_minor
        )
        short = frozenset(by_amount[max(fits, 1) :])
        return [
            replace(check, deadline=now) if i in short else check
            for i, check in enumerate(checks)
        ]

    async def _lead(self, checks: list[Check]) -> list[Answer]:
        self._deciding += len(checks)
        started = self.monotonic()
        answers: Sequence[Answer | None] = [None] * len(checks)
        try:
            decided = await self.pipeline.score_many(checks)
            await self.publish(checks, decided)
            answers = decided
        finally:
            self._deciding -= len(checks)
            for check, answer in zip(checks, answers, strict=True):
                waiting = self._inflight.pop(_key(check), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        if len(checks) >= _TELLING_COUNT_MIN:
            took_s = (self.monotonic() - started) / len(checks)
            self.check_s += _NEWEST_WEIGHT * (took_s - self.check_s)
        return decided

    def _follow(self, key: Key) -> asyncio.Future[Answer | None]:
        waiting = self._inflight[key]
        if waiting is None:
            waiting = asyncio.get_running_loop().create_future()
            self._inflight[key] = waiting
        return waiting

    async def _answer_of(
        self, check: Check, waiting: asyncio.Future[Answer | None]
    ) -> Answer:
        """The first one's answer; decided anew where that caller left or is late."""
        patience_s = None
        if check.deadline is not None:
            patience_s = check.deadline - self.monotonic() - _FOLLOWER_RESERVE_S
            patience_s = max(patience_s, 0.0)
        await asyncio.wait((waiting,), timeout=patience_s)
        answer = waiting.result() if waiting.done() else None
        if answer is None:
            return (await self.pipeline.score_many([check]))[0]
        if isinstance(answer, Decided):
            return replace(answer, first=False, logged=None)
        return answer


def _key(check: Check) -> Key:
    t = check.transaction
    return (t.tenant, t.id, check.payload_hash, check.dry_run)
