"""Opens a store, once: only one that evicts nothing, and knows whether it is new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from scoring.stores.redis.address import opened
from scoring.stores.redis.claim_keys import ClaimKeys
from scoring.stores.redis.cluster import ClusterConnection
from scoring.stores.redis.connection import Command
from scoring.stores.redis.formats import MARK_LOST
from scoring.stores.redis.script_client import Calls

# What is in place of the number of transactions processed; the program counts on
# from the first, so that 1 means that the key was gone.
_FIRST = 1
# How often, and how long apart, marks without a number are looked at again.
_BEGINNINGS, _BEGINNING_S = 20, 0.05
HadHistory = Callable[[], Awaitable[bool]]


@dataclass(slots=True)
class Opening:
    """The first contact with a store; before it nothing is asked.

    `had_history` is asked where the namespace is empty: True means that it was lost.
    """

    calls: Calls
    claims: ClaimKeys
    had_history: HadHistory | None
    _is_done: bool = False
    _under_way: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open(self) -> None:
        """Connect, refuse a server that may evict, and load the program, once.

        Raises `StoreUnavailable`, `BadArtifact`.
        """
        if self._is_done:
            return
        async with self._under_way:
            if self._is_done:
                return
            link = self.calls.link
            await opened(link)
            await self.calls.refuse_eviction()
            await self.calls.load()
            await self._begin()
            if isinstance(link, ClusterConnection):
                link.watch(self.claims.marks)
            self._is_done = True

    async def _begin(self) -> None:
        """Begin the order of processing where there is none, unless it was lost."""
        keys = [self.claims.processed, *self.claims.marks]
        found = await self.calls.ask([(b"EXISTS", key) for key in keys], None)
        for _ in range(_BEGINNINGS):
            if found[0]:
                return
            if not any(found):
                break
            # Another may be between its marks and its number.
            await asyncio.sleep(_BEGINNING_S)
            found = await self.calls.ask([(b"EXISTS", key) for key in keys], None)
        lost = any(found) or (self.had_history is not None and await self.had_history())
        first: list[Command] = [(b"SET", key, 1, b"NX") for key in self.claims.marks]
        if self.claims.marks:
            first.append((b"SET", self.claims.newest, 0, b"NX"))
        mark = MARK_LOST if lost else _FIRST
        await self.calls.ask([] if lost else first, None)
        await self.calls.ask([(b"SET", self.claims.processed, mark, b"NX")], None)
