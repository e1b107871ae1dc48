"""The store on Redis or Valkey: one pipelined exchange to observe, one to record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scoring.core.transaction.transaction import Transaction
from scoring.errors import HistoryLost, StoreUnavailable
from scoring.ports.check import Check
from scoring.ports.follow_ups import Attested, FollowUp, Life
from scoring.ports.history import Observation
from scoring.ports.patience import StorePatience
from scoring.ports.records import Recorded, Recording
from scoring.stores.redis.address import StoreAddress
from scoring.stores.redis.calls import probe
from scoring.stores.redis.cluster_forecast import forecast_apart
from scoring.stores.redis.cluster_retries import ends_at, left_s
from scoring.stores.redis.cluster_store import Split
from scoring.stores.redis.connection import Command, Link
from scoring.stores.redis.formats import (
    CLAIM,
    DECIDED_KINDS,
    NOTE,
    NOTE_EVENT,
    NOTE_LABEL,
)
from scoring.stores.redis.keys import Layout, recorded_of
from scoring.stores.redis.learning import Learning
from scoring.stores.redis.opening import Opening
from scoring.stores.redis.options import StoreOptions
from scoring.stores.redis.outbox import RedisOutbox
from scoring.stores.redis.script_args import Arguments, Ask
from scoring.stores.redis.script_client import Calls, StoreUsage
from scoring.stores.redis.script_compiler import Program
from scoring.stores.redis.tallies import RedisTallies
from scoring.wire import decision_of, payment_of

_NOT_THERE = "the history is not there; run `scoring rebuild`"


class RedisStore:
    """`ports.store` on Redis >= 6.2 or Valkey: one server, or a cluster."""

    def __init__(
        self, link: Link, options: StoreOptions, *, cluster: bool = False
    ) -> None:
        catalogue, terms = options.catalogue, options.terms
        program = Program(catalogue, terms)
        self._calls = Calls(link, program, silence_s=options.silence_s)
        self._layout = Layout(
            catalogue, program, options.namespace, claims=options.claims, parted=cluster
        )
        claims = self._layout.claims
        self._outbox = RedisOutbox(self._calls, claims)
        self.tallies = RedisTallies(self._calls, options.namespace)
        self.opening = Opening(self._calls, claims, options.had_history)
        self._arguments = Arguments(catalogue, program, self._layout)
        self._learning = Learning(self._calls, self._arguments, apart=cluster)
        self._split = (
            Split(self._calls, self._layout, self._arguments, terms)
            if cluster
            else None
        )

    @classmethod
    async def connect(cls, address: StoreAddress | str, **options: Any) -> Self:
        """A store that is open, with `StoreOptions`.

        Raises `StoreUnavailable` when there is no answer, `BadArtifact` when the
        server's settings would lose history.
        """
        store = cls.unopened(address, StoreOptions(**options))
        try:
            await store.opening.open()
        except BaseException:
            await store.close()
            raise
        return store

    @classmethod
    def unopened(cls, address: StoreAddress | str, options: StoreOptions) -> Self:
        """A store that is unavailable until the first `ping` that it answers.

        Raises `BadArtifact` where the address is none.
        """
        if isinstance(address, str):
            address = StoreAddress(address)
        return cls(address.link(), options, cluster=address.cluster)

    async def usage(self) -> StoreUsage:
        """What its servers use; raises `StoreUnavailable`."""
        return await self._calls.usage()

    async def _whole(
        self,
        commands: list[Command],
        timeout_s: float | None,
        *,
        silence_s: float | None = None,
    ) -> list[Any]:
        """The replies of a store whose history is complete, else `StoreUnavailable`."""
        asked: list[Command] = [*commands, (b"GET", self._layout.claims.processed)]
        *replies, processed = await self._calls.ask(
            asked, timeout_s, silence_s=silence_s
        )
        if not (processed or b"").isdigit():
            raise HistoryLost(_NOT_THERE)
        return replies

    # Observing ---------------------------------------------------------------

    async def observe(
        self,
        checks: Sequence[Check],
        *,
        timeout_s: float | None = None,
        patience: StorePatience = StorePatience.WAIT,
    ) -> list[Observation]:
        """See `ports.history`."""
        if self._split is not None:
            return await self._split.observe(
                checks, timeout_s=timeout_s, patience=patience
            )
        asked = [self._arguments.observe(check) for check in checks]
        commands = [self._calls.command(call) for _, call in asked]
        replies = await self._calls.ask(commands, timeout_s)
        return [
            self._layout.observation(entities, reply)
            for (entities, _), reply in zip(asked, replies, strict=True)
        ]

    # Recording ---------------------------------------------------------------

    async def record(
        self,
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None = None,
        patience: StorePatience = StorePatience.WAIT,
    ) -> list[Recorded]:
        """See `ports.records`."""
        if self._split is not None:
            return await self._split.record(
                recordings, timeout_s=timeout_s, patience=patience
            )
        commands = list(
            map(self._calls.command, map(self._arguments.record, recordings))
        )
        return _recorded(recordings, await self._calls.ask(commands, timeout_s))

    async def reconcile(
        self,
        checks: Sequence[Check],
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None = None,
    ) -> list[Recorded]:
        """See `ports.records`."""
        if self._split is not None:
            return await self._split.reconcile(checks, recordings, timeout_s=timeout_s)
        commands: list[Command] = []
        for check, recording in zip(checks, recordings, strict=True):
            record = self._arguments.record(recording)
            _, count = self._arguments.observe(check, decided=True)
            commands += map(self._calls.command, (record, count))
        replies = await self._calls.ask(commands, timeout_s)
        return _recorded(recordings, replies[::2])

    async def decisions(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[bytes | None]:
        """See `ports.records`."""
        recorded = await self._records(keys, timeout_s)
        return [decision_of(value) if value else None for value in recorded]

    async def payments(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[Transaction | None]:
        """See `ports.records`."""
        recorded = await self._records(keys, timeout_s, silence_s=inf)
        return [
            payment_of(value, tenant=tenant, id_=id_) if value else None
            for (tenant, id_), value in zip(keys, recorded, strict=True)
        ]

    async def _records(
        self,
        keys: Sequence[tuple[str, str]],
        timeout_s: float | None,
        *,
        silence_s: float | None = None,
    ) -> list[bytes | None]:
        if not keys:
            return []
        claims = self._layout.claims
        wanted = [claims.decision(*key) for key in keys]
        asked: list[Command] = [(b"GET", key) for key in wanted]
        values = await self._whole(asked, timeout_s, silence_s=silence_s)
        decided = DECIDED_KINDS.encode()
        return [v[CLAIM.size :] if v and v[:1] in decided else None for v in values]

    def outbox_pages(
        self, *, count: int
    ) -> AsyncIterator[list[tuple[str, str, bytes]]]:
        """See `ports.outbox`."""
        return self._outbox.pages(count)

    async def clear_outbox(self, keys: Sequence[tuple[str, str]]) -> None:
        """See `ports.outbox`."""
        await self._outbox.clear(keys)

    async def lease(self, name: str, holder: str, *, for_s: float) -> bool:
        """See `ports.outbox`."""
        return await self._outbox.lease(name, holder, for_s)

    # Follow-ups and forecasts ------------------------------------------------

    async def attest(
        self, follow_ups: Sequence[FollowUp], *, timeout_s: float | None = None
    ) -> list[Attested]:
        """See `ports.follow_ups`."""
        return await self._learning.attest(follow_ups, timeout_s=timeout_s)

    async def lives(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[Life]:
        """See `ports.follow_ups`."""
        commands: list[Command] = [
            (b"HGETALL", self._layout.follow_ups(*key)) for key in keys
        ]
        return list(map(_life, await self._whole(commands, timeout_s)))

    async def learn(
        self, follow_ups: Sequence[FollowUp], *, timeout_s: float | None = None
    ) -> list[Attested]:
        """See `ports.follow_ups`."""
        ends = ends_at(timeout_s)
        if self._split is not None:  # the marks are on other servers than entities
            await self.ping(timeout_s=timeout_s)
        return await self._learning.learn(follow_ups, timeout_s=left_s(ends))

    async def forecast(
        self,
        transaction: Transaction,
        *,
        features: Sequence[str],
        after_ms: int,
        instants_max: int,
        timeout_s: float | None = None,
    ) -> list[tuple[int, NDArray[np.float64]]]:
        """See `ports.history`."""
        ask = self._arguments.forecast(transaction, features)
        if ask is None:
            return []
        ends = ends_at(timeout_s)
        replies = await self._forecast(
            ask, [(transaction, after_ms)], instants_max, ends
        )
        found = self._layout.forecast(ask.entities, replies[0])
        if not any(entity.reads_clock for entity in ask.entities):
            return found
        # What the payload counts for depends on the hour: ask as of each instant.
        later = [
            (replace(transaction, occurred_at_ms=at_ms), at_ms - 1)
            for at_ms, _ in found
        ]
        replies = await self._forecast(ask, later, 1, ends)
        return [row for r in replies for row in self._layout.forecast(ask.entities, r)]

    async def _forecast(
        self, ask: Ask, asked: list[tuple[Transaction, int]], most: int, ends: float
    ) -> list[Any]:
        if self._split is not None:
            return [
                await forecast_apart(self._calls, ask, one, most=most, ends=ends)
                for one in asked
            ]
        calls = [ask.call(as_of, after_ms, most) for as_of, after_ms in asked]
        commands = list(map(self._calls.command, calls))
        return await self._calls.ask(commands, left_s(ends))

    async def ping(self, *, timeout_s: float | None = None) -> bool:
        """See `ports.store`. A store that is not open yet takes its time to open."""
        await self.opening.open()
        # Every server of a cluster: each has some of the marks.
        claims = self._layout.claims
        keys = (*claims.marks, claims.processed)
        asked = [self._calls.command(probe(key)) for key in keys]
        # A store that was silent may be back within this time: no limit but that.
        told = await self._calls.ask(asked, timeout_s, partial=True, silence_s=inf)
        return not any(isinstance(reply, StoreUnavailable) for reply in told)

    async def close(self) -> None:
        """See `ports.store`."""
        if self._split is not None:
            await self._split.close()
        await self._calls.link.close()


def _life(reply: dict[bytes, bytes]) -> Life:
    """What is under a payment's follow-ups: `NOTE`s by their names."""
    notes = [(name[:1], note[NOTE.size :]) for name, note in reply.items()]
    return Life(
        tuple(note for kind, note in notes if kind == NOTE_LABEL),
        tuple(note for kind, note in notes if kind == NOTE_EVENT),
    )


def _recorded(recordings: Sequence[Recording], replies: list[Any]) -> list[Recorded]:
    return [
        recorded_of(own, code, kept)
        for own, (code, kept) in zip(recordings, replies, strict=True)
    ]
