"""What was reported of payments: noted with them, then learned by entities, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from scoring.errors import CorruptState
from scoring.ports.follow_ups import (
    Attested,
    FollowUp,
    LabelledTransaction,
    TransactionEvent,
)
from scoring.stores.redis.calls import Call
from scoring.stores.redis.cluster_retries import ends_at, left_s
from scoring.stores.redis.connection import Command
from scoring.stores.redis.script_args import Arguments
from scoring.stores.redis.script_client import Calls


class Learning:
    """Follow-ups of a store; `apart` where payments and entities have other servers.

    Nobody pays while a follow-up is applied: the store has all the time there is.
    Working off thousands of them it is silent for longer than a payment may wait,
    and what is given up and sent again it works off twice.
    """

    def __init__(self, calls: Calls, arguments: Arguments, *, apart: bool) -> None:
        self._calls = calls
        self._arguments = arguments
        self._apply = self._apply_apart if apart else self._apply_together

    async def attest(
        self, follow_ups: Sequence[FollowUp], *, timeout_s: float | None
    ) -> list[Attested]:
        """See `ports.follow_ups`."""
        told = await self._called(map(self._arguments.attest, follow_ups), timeout_s)
        return list(map(Attested, told))

    async def learn(
        self, follow_ups: Sequence[FollowUp], *, timeout_s: float | None
    ) -> list[Attested]:
        """See `ports.follow_ups`."""
        ends = ends_at(timeout_s)
        stand = await self.attest(follow_ups, timeout_s=left_s(ends))
        told = zip(follow_ups, stand, strict=True)
        await self._apply([one for one, said in told if said is Attested.STANDS], ends)
        return stand

    async def _apply_together(self, follow_ups: list[FollowUp], ends: float) -> None:
        """An event is counted, and said to be, in one call: whatever breaks, once."""
        labels, events = _kinds(follow_ups)
        calls = [c for one in labels for c in self._arguments.learn(one, apart=False)]
        calls += [c for one in events for c in self._arguments.happen(one)]
        _refuse_corrupt(await self._called(calls, left_s(ends)))

    async def _apply_apart(self, follow_ups: list[FollowUp], ends: float) -> None:
        """Each entity keeps beside itself what it counted, until the payment knows: a
        repeat finds one or the other, whatever breaks.
        """
        labels, events = _kinds(follow_ups)
        kept = [self._arguments.counted(one) for one in events]
        asked: list[Command] = [(b"HEXISTS", *place) for place in kept]
        known = await self._sent(asked, left_s(ends))
        happen = self._arguments.happen_apart
        calls = [c for one in labels for c in self._arguments.learn(one, apart=True)]
        for one, again in zip(events, known, strict=True):
            calls += happen(one, again=bool(again))
        _refuse_corrupt(await self._called(calls, left_s(ends)))
        ttl_ms = self._arguments.program.labels_ms
        known_now: list[Command] = []
        for key, name in kept:
            known_now += [(b"HSET", key, name, b""), (b"PEXPIRE", key, ttl_ms)]
        await self._sent(known_now, left_s(ends))
        beside = [
            place for one in events for place in self._arguments.counted_apart(one)
        ]
        await self._sent([(b"HDEL", *place) for place in beside], left_s(ends))

    async def _called(
        self, calls: Iterable[Call], timeout_s: float | None
    ) -> list[Any]:
        return await self._sent(list(map(self._calls.command, calls)), timeout_s)

    async def _sent(
        self, commands: list[Command], timeout_s: float | None
    ) -> list[Any]:
        return await self._calls.ask(commands, timeout_s, silence_s=inf)


def _kinds(
    follow_ups: list[FollowUp],
) -> tuple[list[LabelledTransaction], list[TransactionEvent]]:
    return (
        [one for one in follow_ups if isinstance(one, LabelledTransaction)],
        [one for one in follow_ups if isinstance(one, TransactionEvent)],
    )


def _refuse_corrupt(replies: list[bytes]) -> None:
    corrupt = b",".join(filter(None, replies))
    if corrupt:
        raise CorruptState(f"not ours, or damaged: {corrupt.decode()}")
