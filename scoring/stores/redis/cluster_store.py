"""Observing and recording in a cluster, where nothing spans servers.

A transaction's claim and its entities stand in different slots. What one call does on
one server is here three rounds, each one pipeline a server: claim, count at each
entity, keep what was observed; the last goes along with the decision, or soon.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from scoring.core.decision.decision import Degradation, DegradationCode
from scoring.errors import StoreUnavailable
from scoring.ports import Applied, Check, Observation, Recorded, Recording
from scoring.stores.redis.cluster_retries import Keeping, Look, ends_at, left_s
from scoring.stores.redis.connection import Command
from scoring.stores.redis.keys import Layout, order_of, recorded_of
from scoring.stores.redis.script_args import Arguments
from scoring.stores.redis.script_client import Calls
from scoring.stores.redis.script_compiler import Terms

_OPEN = b"O"  # claimed, and to be counted


class Split:
    """Exchanges of the store with a cluster."""

    def __init__(
        self, calls: Calls, layout: Layout, arguments: Arguments, terms: Terms
    ) -> None:
        self._calls = calls
        self._layout = layout
        self._arguments = arguments
        self._lateness_ms = terms.lateness_ms
        self._keeping = Keeping(calls)

    # Observing ---------------------------------------------------------------

    async def observe(
        self, checks: Sequence[Check], *, timeout_s: float | None, partly: bool
    ) -> list[Observation]:
        """See `ports.Store`."""
        ends = ends_at(timeout_s)
        seen: list[Observation] = []
        for piece in self._pieces(checks):
            seen += await self._observe(piece, ends, partly=partly)
        return seen

    def _pieces(self, checks: Sequence[Check]) -> list[Sequence[Check]]:
        """Cut where one may be too late beside one before it, which it has to see."""
        newest, start, pieces = 0, 0, []
        for i, check in enumerate(checks):
            at_ms = check.transaction.occurred_at_ms
            if at_ms < newest - self._lateness_ms and not check.dry_run:
                pieces.append(checks[start:i])
                newest, start = 0, i
            newest = max(newest, at_ms)
        return [*pieces, checks[start:]]

    async def _observe(
        self, checks: Sequence[Check], ends: float, *, partly: bool
    ) -> list[Observation]:
        seen: list[Observation | None] = [None] * len(checks)
        newest, looks = await self._claimed(checks, seen, ends, partly=partly)
        await self._mark_late(list(looks.values()), newest, ends, partly=partly)
        await self._counted(list(looks.values()), ends, partly=partly)
        found: dict[bytes, Observation] = {}
        for i, look in looks.items():
            first = found.get(look.claim)
            if first is None or look.mode == b"D":
                first = found[look.claim] = seen[i] = self._observation(look)
            else:
                seen[i] = replace(first, applied=_repeated(first.applied))
        self._keeping.keep(list(looks.values()))
        return [observation for observation in seen if observation is not None]

    async def _claimed(
        self,
        checks: Sequence[Check],
        seen: list[Observation | None],
        ends: float,
        *,
        partly: bool,
    ) -> tuple[int | None, dict[int, Look]]:
        """Claim; what is answered already is `seen`. The others, and how new events
        of the store may be (None: not known).
        """
        claims = self._layout.claims
        counted = [c.transaction.occurred_at_ms for c in checks if not c.dry_run]
        reach = self._calls.command(
            "reach", ([claims.processed, claims.newest], [max(counted, default=0)])
        )
        commands, owners = [reach], []
        for check in checks:
            t = check.transaction
            claim = claims.decision(t.tenant, t.id)
            mode = b"D" if check.dry_run else b"N"
            call = [claim, claims.mark(t.tenant, t.id)], [mode, check.payload_hash]
            commands.append(self._calls.command("claim", call))
            owners.append(claim)
        with contextlib.suppress(StoreUnavailable):  # then a repeat looks again
            await self._keeping.settled(owners, ends, held=True)
        newest, *replies = await self._calls.ask(commands, left_s(ends), partly=partly)
        looks = {}
        for i, (check, claim, reply) in enumerate(
            zip(checks, owners, replies, strict=True)
        ):
            if isinstance(reply, Exception):
                seen[i] = self._away(reply)
            elif reply[0] == _OPEN:
                looks[i] = self._look(check, claim, reply)
            else:
                entities = [
                    e for e, _, _ in self._layout.known_apart(check.transaction)
                ]
                seen[i] = self._layout.observation(entities, reply)
        told = not isinstance(newest, Exception) and newest
        return int(newest) if told else None, looks

    def _look(self, check: Check, claim: bytes, reply: list[Any]) -> Look:
        t = check.transaction
        _, outcome, standing, _, wrong, _ = reply
        return Look(
            check,
            claim,
            self._layout.claims.mark(t.tenant, t.id),
            self._layout.known_apart(t),
            order_of(t),
            b"D" if check.dry_run else b"N",
            outcome,
            standing,
            wrong,
        )

    def _away(self, why: Exception) -> Observation:
        """Nothing is known: not even whether it was decided before."""
        missing = Degradation(DegradationCode.HISTORY_UNAVAILABLE, "store")
        del why
        return Observation(
            values=self._layout.unknown,
            applied=Applied.PARTLY,
            degradations=(missing,),
        )

    async def _mark_late(
        self, looks: list[Look], newest: int | None, ends: float, *, partly: bool
    ) -> None:
        """Find out which are too late for an entity, and count nowhere."""
        suspects = [
            (look, keys[0], entity.byte)
            for look in looks
            if look.mode == b"N"
            and (
                newest is None
                or look.check.transaction.occurred_at_ms < newest - self._lateness_ms
            )
            for entity, keys, _ in look.entities
        ]
        commands = [
            self._calls.command("late", ([key], [look.order, plan]))
            for look, key, plan in suspects
        ]
        if commands:
            late = await self._calls.ask(commands, left_s(ends), partly=partly)
            for (look, _, _), is_late in zip(suspects, late, strict=True):
                if is_late == 1:
                    look.mode = b"L"
                elif isinstance(is_late, Exception):
                    # Not to be known: read, and counted when it is taken up again.
                    look.mode, look.whole = b"L", False

    async def _counted(self, looks: list[Look], ends: float, *, partly: bool) -> None:
        """Number the transactions and count each at its entities, in this order.

        All of it is sent at once, so that those of one process are counted everywhere
        in the order of their numbers.
        """
        if not looks:
            return
        fresh = [look for look in looks if look.mode != b"D"]
        name, processed = "count", self._layout.claims.processed
        commands: list[Command] = []
        if fresh:
            commands.append(self._calls.command("number", ([processed], [len(fresh)])))
        for look in looks:
            told = bytes([look.outcome]) + look.order
            for entity, keys, inputs in look.entities:
                call = keys, [look.mode + entity.byte + told, inputs]
                commands.append(self._calls.command(name, call))
        replies = await self._calls.ask(commands, left_s(ends), partly=partly)
        torn = partly and any(isinstance(reply, Exception) for reply in replies)
        said = iter(replies)
        last = next(said) if fresh else 0
        if not isinstance(last, Exception):
            for seq, look in enumerate(fresh, last - len(fresh) + 1):
                look.seq = seq
        for look in looks:
            look.take([next(said) for _ in look.entities], torn=torn)

    def _observation(self, look: Look) -> Observation:
        entities = [entity for entity, _, _ in look.entities]
        standing = b"" if look.mode == b"D" else look.standing
        reply = [look.mode, look.seq, *look.seen, standing]
        observation = self._layout.observation(entities, reply)
        if look.whole:
            return observation
        missing = [
            Degradation(DegradationCode.HISTORY_PARTIAL, entity.plan.name)
            for (entity, _, _), part in zip(look.entities, look.parts, strict=True)
            if isinstance(part, Exception)
        ] or [Degradation(DegradationCode.HISTORY_PARTIAL, "order")]
        return replace(
            observation,
            applied=Applied.PARTLY,
            degradations=(*observation.degradations, *missing),
        )

    async def close(self) -> None:
        """Send what is still to be kept."""
        await self._keeping.close()

    # Recording ---------------------------------------------------------------

    async def record(
        self, recordings: Sequence[Recording], *, timeout_s: float | None, partly: bool
    ) -> list[Recorded]:
        """See `ports.Store`."""
        ends = ends_at(timeout_s)
        calls = [self._arguments.record(recording) for recording in recordings]
        claims = [keys[0] for keys, _ in calls]
        await self._keeping.settled(claims, ends)
        kept = self._keeping.taken(claims)
        # Entities stand elsewhere: they count the outcome in a call of their own.
        commands = kept + [
            self._calls.command("record", (keys[:3], arguments[:5]))
            for keys, arguments in calls
        ]
        said = await self._calls.ask(commands, left_s(ends), partly=partly)
        replies = said[len(kept) :]
        to_settle = [
            recording
            for recording, reply in zip(recordings, replies, strict=True)
            if not isinstance(reply, Exception) and len(reply) > _UNSETTLED
        ]
        open_ = await self._settle(to_settle, ends, partly=partly) if to_settle else []
        return [
            Recorded(b"", first=False, reached=False)
            if isinstance(reply, Exception) or any(r is recording for r in open_)
            else recorded_of(recording, reply[0], reply[1])
            for recording, reply in zip(recordings, replies, strict=True)
        ]

    async def adopt(
        self,
        checks: Sequence[Check],
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None,
    ) -> list[Recorded]:
        """See `ports.Store`."""
        ends = ends_at(timeout_s)
        told = await self.record(recordings, timeout_s=left_s(ends), partly=False)
        await self.observe(checks, timeout_s=left_s(ends), partly=False)
        return told

    async def _settle(
        self, recordings: list[Recording], ends: float, *, partly: bool
    ) -> list[Recording]:
        """Count outcomes at the entities, once each, then say that it was done.

        Returns those that were not: an entity's server is away, and a repeat counts.
        """
        calls = [self._settling(recording) for recording in recordings]
        commands = [command for call in calls for command in call]
        said = iter(await self._calls.ask(commands, left_s(ends), partly=partly))
        open_, kept = [], []
        for recording, call in zip(recordings, calls, strict=True):
            replies = list(islice(said, len(call)))
            if any(isinstance(reply, Exception) for reply in replies):
                open_.append(recording)
            else:
                kept.append(self._settled(recording))
        if kept:  # where that is not reached, a repeat says it again
            await self._calls.ask(kept, left_s(ends), partly=partly)
        return open_

    def _settling(self, recording: Recording) -> list[Command]:
        assert recording.transaction is not None
        keys, (order, plans, *inputs) = self._layout.settled(recording.transaction)
        outcome = int(recording.outcome)
        return [
            self._calls.command(
                "settle", ([key], [outcome, order, plans[i : i + 1], inputs[i]])
            )
            for i, key in enumerate(keys)
        ]

    def _settled(self, recording: Recording) -> Command:
        t = recording.transaction
        assert t is not None
        claims = self._layout.claims
        keys = [claims.decision(t.tenant, t.id), claims.mark(t.tenant, t.id)]
        return self._calls.command("keep", (keys, [recording.payload_hash]))


_UNSETTLED = 2  # a reply that is longer asks for the outcome to be counted


def _repeated(applied: Applied) -> Applied:
    return Applied.REPEATED if applied is Applied.COUNTED else applied
