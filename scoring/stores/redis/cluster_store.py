"""Observing and recording in a cluster, where nothing spans servers.

A transaction's claim and its entities are in different slots. What one call does on
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
from scoring.ports.check import Check
from scoring.ports.history import Applied, Observation
from scoring.ports.patience import StorePatience
from scoring.ports.records import Recorded, Recording
from scoring.stores.redis import calls
from scoring.stores.redis.cluster_retries import Keeping, Look, ends_at, left_s
from scoring.stores.redis.formats import Mode
from scoring.stores.redis.keys import Layout, order_of, recorded_of
from scoring.stores.redis.script_args import Arguments
from scoring.stores.redis.script_client import Calls
from scoring.stores.redis.script_compiler import EntityProgram, Terms


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
        self,
        checks: Sequence[Check],
        *,
        timeout_s: float | None,
        patience: StorePatience,
    ) -> list[Observation]:
        """See `ports.history`."""
        ends, partial = ends_at(timeout_s), patience is StorePatience.ANSWER_IN_TIME
        seen: list[Observation] = []
        for piece in self._pieces(checks):
            seen += await self._observe(piece, ends, partial=partial)
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
        self, checks: Sequence[Check], ends: float, *, partial: bool
    ) -> list[Observation]:
        seen: list[Observation | None] = [None] * len(checks)
        newest, looks = await self._claimed(checks, seen, ends, partial=partial)
        await self._mark_late(list(looks.values()), newest, ends, partial=partial)
        await self._counted(list(looks.values()), ends, partial=partial)
        found: dict[bytes, Observation] = {}
        for i, look in looks.items():
            first = found.get(look.claim)
            if first is None or look.mode is Mode.DRY_RUN:
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
        partial: bool,
    ) -> tuple[int | None, dict[int, Look]]:
        """Claim; what is answered already is `seen`. The others, and how new events
        of the store may be (None: not known).
        """
        claims = self._layout.claims
        counted = [c.transaction.occurred_at_ms for c in checks if not c.dry_run]
        reach = calls.reach(
            claims.processed, claims.newest, time=max(counted, default=0)
        )
        commands, owners = [self._calls.command(reach)], []
        for check in checks:
            t = check.transaction
            claim = claims.decision(t.tenant, t.id)
            call = calls.claim(
                claim,
                claims.mark(t.tenant, t.id),
                mode=_mode(check),
                payload_hash=check.payload_hash,
            )
            commands.append(self._calls.command(call))
            owners.append(claim)
        with contextlib.suppress(StoreUnavailable):  # then a repeat looks again
            await self._keeping.settled(owners, ends, held=True)
        newest, *replies = await self._calls.ask(
            commands, left_s(ends), partial=partial
        )
        looks = {}
        for i, (check, claim, reply) in enumerate(
            zip(checks, owners, replies, strict=True)
        ):
            if isinstance(reply, Exception):
                seen[i] = self._unseen(reply)
            elif reply[0] == Mode.OPEN:
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
        _, outcome, decision, _, wrong, _ = reply
        return Look(
            check,
            claim,
            self._layout.claims.mark(t.tenant, t.id),
            self._layout.known_apart(t),
            order_of(t),
            _mode(check),
            outcome,
            decision,
            wrong,
        )

    def _unseen(self, why: Exception) -> Observation:
        """Nothing is known: not even whether it was decided before."""
        missing = Degradation(DegradationCode.HISTORY_UNAVAILABLE, "store")
        del why
        return Observation(
            values=self._layout.unknown,
            applied=Applied.PARTIAL,
            degradations=(missing,),
        )

    async def _mark_late(
        self, looks: list[Look], newest: int | None, ends: float, *, partial: bool
    ) -> None:
        """Find out which are too late for an entity, and count nowhere."""
        suspects = [
            (look, keys[0], entity.byte)
            for look in looks
            if look.mode is Mode.COUNT
            and (
                newest is None
                or look.check.transaction.occurred_at_ms < newest - self._lateness_ms
            )
            for entity, keys, _ in look.entities
        ]
        commands = [
            self._calls.command(calls.late(key, order=look.order, plan=plan))
            for look, key, plan in suspects
        ]
        if commands:
            late = await self._calls.ask(commands, left_s(ends), partial=partial)
            for (look, _, _), is_late in zip(suspects, late, strict=True):
                if is_late == 1:
                    look.mode = Mode.LATE
                elif isinstance(is_late, Exception):
                    # Not to be known: read, and counted when it is taken up again.
                    look.mode, look.whole = Mode.LATE, False

    async def _counted(self, looks: list[Look], ends: float, *, partial: bool) -> None:
        """Number the transactions and count each at its entities, in this order.

        All of it is sent at once, so that those of one process are counted everywhere
        in the order of their numbers.
        """
        if not looks:
            return
        fresh = [look for look in looks if look.mode is not Mode.DRY_RUN]
        processed = self._layout.claims.processed
        asked = [calls.number(processed, count=len(fresh))] if fresh else []
        for look in looks:
            for entity, keys, inputs in look.entities:
                told = told_of(look.mode, entity, look.outcome, look.order)
                asked.append(calls.count(*keys, told=told, inputs=[inputs]))
        commands = list(map(self._calls.command, asked))
        replies = await self._calls.ask(commands, left_s(ends), partial=partial)
        torn = partial and any(isinstance(reply, Exception) for reply in replies)
        said = iter(replies)
        last = next(said) if fresh else 0
        if not isinstance(last, Exception):
            for seq, look in enumerate(fresh, last - len(fresh) + 1):
                look.seq = seq
        for look in looks:
            look.take([next(said) for _ in look.entities], torn=torn)

    def _observation(self, look: Look) -> Observation:
        entities = [entity for entity, _, _ in look.entities]
        decision = b"" if look.mode is Mode.DRY_RUN else look.decision
        reply = [look.mode, look.seq, *look.seen, decision]
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
            applied=Applied.PARTIAL,
            degradations=(*observation.degradations, *missing),
        )

    async def close(self) -> None:
        """Send what is still to be kept."""
        await self._keeping.close()

    # Recording ---------------------------------------------------------------

    async def record(
        self,
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None,
        patience: StorePatience,
    ) -> list[Recorded]:
        """See `ports.records`."""
        ends, partial = ends_at(timeout_s), patience is StorePatience.ANSWER_IN_TIME
        asked = [self._arguments.record(r, apart=True) for r in recordings]
        claims = [keys[0] for _, keys, _ in asked]
        await self._keeping.settled(claims, ends)
        kept = self._keeping.taken(claims)
        commands = [*kept, *map(self._calls.command, asked)]
        said = await self._calls.ask(commands, left_s(ends), partial=partial)
        replies = said[len(kept) :]
        to_settle = [
            recording
            for recording, reply in zip(recordings, replies, strict=True)
            if not isinstance(reply, Exception) and len(reply) > _UNSETTLED
        ]
        open_ = (
            await self._settle(to_settle, ends, partial=partial) if to_settle else []
        )
        return [
            Recorded(b"", first=False, reached=False)
            if isinstance(reply, Exception) or any(r is recording for r in open_)
            else recorded_of(recording, reply[0], reply[1])
            for recording, reply in zip(recordings, replies, strict=True)
        ]

    async def reconcile(
        self,
        checks: Sequence[Check],
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None,
    ) -> list[Recorded]:
        """See `ports.records`."""
        ends = ends_at(timeout_s)
        told = await self.record(
            recordings, timeout_s=left_s(ends), patience=StorePatience.WAIT
        )
        await self.observe(checks, timeout_s=left_s(ends), patience=StorePatience.WAIT)
        return told

    async def _settle(
        self, recordings: list[Recording], ends: float, *, partial: bool
    ) -> list[Recording]:
        """Count outcomes at the entities, once each, then say that it was done.

        Returns those that were not: an entity's server failed, and a repeat counts.
        """
        asked = [self._arguments.settle(recording) for recording in recordings]
        commands = [self._calls.command(call) for own in asked for call in own]
        said = iter(await self._calls.ask(commands, left_s(ends), partial=partial))
        open_, kept = [], []
        for recording, own in zip(recordings, asked, strict=True):
            replies = list(islice(said, len(own)))
            if any(isinstance(reply, Exception) for reply in replies):
                open_.append(recording)
            else:
                kept.append(self._calls.command(self._arguments.settled(recording)))
        if kept:  # where that is not reached, a repeat says it again
            await self._calls.ask(kept, left_s(ends), partial=partial)
        return open_


_UNSETTLED = 2  # a reply that is longer asks for the outcome to be counted


def _repeated(applied: Applied) -> Applied:
    return Applied.REPEATED if applied is Applied.COUNTED else applied


def _mode(check: Check) -> Mode:
    return Mode.DRY_RUN if check.dry_run else Mode.COUNT


def told_of(mode: Mode, entity: EntityProgram, outcome: int, order: bytes) -> bytes:
    """What `count` is given of a transaction: a `TOLD`."""
    return mode + entity.byte + bytes([outcome]) + order
