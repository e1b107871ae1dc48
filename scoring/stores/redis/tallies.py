"""The counts of all processes in Redis: short-lived hashes, and money reserved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scoring.ports.tallies import Counts, Tallied, TallyAsk
from scoring.stores.redis.connection import Command
from scoring.stores.redis.script_client import Calls

_BUCKET_S = 7_200  # of the wall clock: twice what is looked back at
_HOUR_S = 9 * 86_400  # a day more than the history that is read
_TRIPS_S = 30 * 86_400  # as long as any process counts, it is put off
_BUDGET_S = 100 * 86_400  # no payment that is still counted is later than this
_NEWEST = b"newest"


@dataclass(frozen=True, slots=True)
class RedisTallies:
    """See `ports.tallies`; every key begins with `{<namespace>:tally}`: one slot.

    There `:b:<bucket>` and `:h:<hour>` hold counts by name, `:newest` the latest
    bucket, `:trips` what tripped, and `:budget:<day>:<tenant>` what of a day's money
    is reserved.
    """

    calls: Calls
    namespace: str

    def _key(self, name: str) -> bytes:
        return f"{{{self.namespace}:tally}}:{name}".encode()

    async def tally(self, own: TallyAsk, *, timeout_s: float | None = None) -> Tallied:
        """See `ports.tallies`."""
        commands: list[Command] = []
        for bucket, counts in own.buckets.items():
            commands += _added(self._key(f"b:{bucket}"), counts, _BUCKET_S)
        for hour, counts in own.hours.items():
            commands += _added(self._key(f"h:{hour}"), counts, _HOUR_S)
        newest = self._key("newest")
        if own.newest:
            commands.append((b"ZADD", newest, b"GT", own.newest, _NEWEST))
        commands.append((b"EXPIRE", self._key("trips"), _TRIPS_S))
        added = len(commands)
        commands += [(b"HGETALL", self._key(f"b:{bucket}")) for bucket in own.window]
        commands += [(b"HGETALL", self._key(f"h:{hour}")) for hour in own.history]
        commands += [(b"ZSCORE", newest, _NEWEST), (b"HGETALL", self._key("trips"))]
        replies = await self.calls.ask(commands, timeout_s)
        *counted, latest, trips = replies[added:]
        window = list(map(_counts, counted))
        history = window[len(own.window) :]
        del window[len(own.window) :]
        return Tallied(window, history, int(float(latest or 0)), _named(trips))

    async def trip(self, trips: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """See `ports.tallies`."""
        key = self._key("trips")
        commands: list[Command] = [
            (b"HSETNX", key, name.encode(), told) for name, told in trips.items()
        ]
        commands += [(b"EXPIRE", key, _TRIPS_S), (b"HGETALL", key)]
        *_, standing = await self.calls.ask(commands, None)
        return _named(standing)

    async def reserve(
        self, tenant: str, day: int, minor: int, *, timeout_s: float | None = None
    ) -> int:
        """See `ports.tallies`."""
        key = self._key(f"budget:{day}:{tenant}")
        after, _ = await self.calls.ask(
            [(b"INCRBY", key, minor), (b"EXPIRE", key, _BUDGET_S)], timeout_s
        )
        return int(after) - minor


def _added(key: bytes, counts: Counts, keep_s: int) -> list[Command]:
    added: list[Command] = [
        (b"HINCRBYFLOAT", key, name.encode(), repr(n)) for name, n in counts.items()
    ]
    return [*added, (b"EXPIRE", key, keep_s)]


def _counts(reply: Mapping[bytes, bytes]) -> Counts:
    return {name.decode(): float(value) for name, value in reply.items()}


def _named(reply: Mapping[bytes, bytes]) -> Mapping[str, bytes]:
    return {name.decode(): value for name, value in reply.items()}
