"""The program in the store: loaded on every server that takes writes, and called."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from scoring.errors import (
    BadArtifact,
    HistoryLost,
    StoreLate,
    StoreRefused,
    StoreUnavailable,
)
from scoring.stores.redis.address import TIMEOUT_S_DEFAULT, is_refusal, refusal
from scoring.stores.redis.calls import SHAPES, Call
from scoring.stores.redis.connection import Command, Link, RedisConnection
from scoring.stores.redis.formats import ERROR_LOST, ERROR_REBUILDING
from scoring.stores.redis.script_compiler import Program

_INFO: Command = (b"INFO",)
_USAGE: tuple[Command, ...] = ((b"INFO", b"memory"), (b"INFO", b"commandstats"))
_OUR_CALLS = frozenset({"cmdstat_fcall", "cmdstat_fcall_ro", "cmdstat_evalsha"})
_US_PER_S = 1_000_000
# What the program says of a store without its history.
_LOST = {
    ERROR_LOST: "has lost the history, and nothing is decided from it: run "
    "`scoring rebuild`",
    ERROR_REBUILDING: "is being filled by `scoring rebuild`, and nothing is decided "
    "from it until that is done",
}


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """What a store's servers use: memory, and since their start time in our program."""

    memory_bytes: int
    memory_bytes_max: int
    script_s: float
    script_calls: int


class Calls:
    """Calls of one program over one link."""

    functions_from = 7  # the release of Redis that brought functions

    def __init__(self, link: Link, program: Program, *, silence_s: float = inf) -> None:
        """`silence_s`: see `Link`; it holds where somebody waits for the reply."""
        self.link = link
        self._silence_s = silence_s
        self._program = program
        self._scripts: dict[str, Command] = {}
        self._loading: asyncio.Task[None] | None = None

    def command(self, call: Call) -> Command:
        """One call as it is sent; raises `StoreUnavailable` before `load`."""
        if not self._scripts:
            raise StoreUnavailable("the store has not answered yet")
        name, keys, arguments = call
        return (*self._scripts[name], len(keys), *keys, *arguments)

    async def ask(
        self,
        commands: list[Command],
        timeout_s: float | None,
        *,
        partial: bool = False,
        silence_s: float | None = None,
    ) -> list[Any]:
        """The replies in order; raises `StoreUnavailable` where one is an error.

        With `partial`, `StoreUnavailable` takes the place of a reply whose server is
        down, unless every server is. `silence_s` is another limit than the usual.
        """
        if not self._scripts:
            raise StoreUnavailable("the store has not answered yet")
        if silence_s is None:
            silence_s = inf if timeout_s is None else self._silence_s
        timeout_s = TIMEOUT_S_DEFAULT if timeout_s is None else timeout_s
        now = asyncio.get_running_loop().time
        ends = now() + timeout_s
        replies = await self.link.exchange(
            commands, timeout_s=timeout_s, silence_s=silence_s
        )
        failed = [i for i, r in enumerate(replies) if isinstance(r, Exception)]
        if not failed:
            return replies
        lost = [i for i in failed if _is_unloaded(replies[i])]
        if lost:  # a server was restarted or its functions were flushed
            await self._reload(ends)
            again = await self.link.exchange(
                [commands[i] for i in lost], timeout_s=ends - now(), silence_s=silence_s
            )
            for i, reply in zip(lost, again, strict=True):
                replies[i] = reply
        for i in failed:
            reply = replies[i]
            if isinstance(reply, StoreUnavailable):
                if not partial:
                    raise reply
            elif isinstance(reply, Exception):
                raise await self._refusal(self.link.where(commands[i]), str(reply))
        return replies

    async def _refusal(self, where: str, said: str) -> StoreUnavailable:
        """What an error reply means."""
        word = said.partition(" ")[0]
        if word in _LOST:
            return HistoryLost(f"{where} {_LOST[word]}")
        if word == "READONLY":
            await self._leave()
        return StoreRefused(f"{where} refused: {said}")

    async def _leave(self) -> None:
        """Leave a primary that was made a replica: the next to ask finds another."""
        for node in await self.link.primaries():
            node.drop("it is a replica now")

    async def load(self) -> None:
        """Load the program as functions, or as scripts on servers without them.

        Raises `StoreUnavailable`.
        """
        for node in await self.link.primaries():
            self._scripts = await self._load(node)

    async def _reload(self, ends: float) -> None:
        """Wait until `ends` for a load, begun here or by another caller.

        It continues where this caller's time is over. Of a cluster, servers that are
        away keep nobody else waiting; raises `StoreUnavailable` where all are.
        """
        if self._loading is None or self._loading.done():
            self._loading = asyncio.get_running_loop().create_task(self._load_again())
            self._loading.add_done_callback(lambda t: t.cancelled() or t.exception())
        try:
            async with asyncio.timeout_at(ends):
                await asyncio.shield(self._loading)
        except TimeoutError as error:
            raise StoreLate("the program is being loaded") from error

    async def _load_again(self) -> None:
        nodes = await self.link.primaries()
        told = await asyncio.gather(*map(self._load, nodes), return_exceptions=True)
        loaded = [scripts for scripts in told if isinstance(scripts, dict)]
        for node, error in zip(nodes, told, strict=True):
            if isinstance(
                error, BadArtifact
            ):  # it let us in: it is unwell, not we wrong
                raise StoreRefused(f"{node.address} refused: {error}") from error
            if isinstance(error, BaseException) and not (
                loaded and isinstance(error, StoreUnavailable)
            ):
                raise error
        self._scripts = loaded[0]

    async def _load(self, node: RedisConnection) -> dict[str, Command]:
        names, program = tuple(SHAPES), self._program
        version = (await _facts_of(node)).get("redis_version", "7")
        if int(version.partition(".")[0]) >= self.functions_from:
            library = (b"FUNCTION", b"LOAD", b"REPLACE", program.library())
            await _said(node, [library])
            return {n: (b"FCALL", f"{program.name}_{n}".encode()) for n in names}
        scripts: list[Command] = [
            (b"SCRIPT", b"LOAD", program.script(name)) for name in names
        ]
        shas = await _said(node, scripts)
        return {n: (b"EVALSHA", sha) for n, sha in zip(names, shas, strict=True)}

    async def refuse_eviction(self) -> None:
        """Raise `BadArtifact` where a server may evict."""
        for node in await self.link.primaries():
            policy = (await _facts_of(node)).get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                raise BadArtifact(
                    f"the store's maxmemory-policy is {policy!r}, which may evict "
                    "history and decisions; run CONFIG SET maxmemory-policy noeviction"
                )

    async def usage(self) -> StoreUsage:
        """What the servers that take writes use together; raises `StoreUnavailable`."""
        facts = [await _facts_of(node, _USAGE) for node in await self.link.primaries()]
        calls, us = 0, 0
        for each in facts:
            for name, value in each.items():
                if name in _OUR_CALLS:
                    spent = dict(pair.split("=") for pair in value.split(","))
                    calls, us = calls + int(spent["calls"]), us + int(spent["usec"])
        return StoreUsage(
            memory_bytes=sum(int(each["used_memory"]) for each in facts),
            memory_bytes_max=sum(int(each.get("maxmemory", 0)) for each in facts),
            script_s=us / _US_PER_S,
            script_calls=calls,
        )


async def _said(node: RedisConnection, commands: list[Command]) -> list[Any]:
    replies = await node.exchange(commands, timeout_s=TIMEOUT_S_DEFAULT)
    failed = next((r for r in replies if isinstance(r, Exception)), None)
    if failed is not None:
        if is_refusal(failed):
            raise refusal(failed)
        raise StoreRefused(f"{node.address} refused: {failed}")
    return replies


async def _facts_of(
    node: RedisConnection, commands: Sequence[Command] = (_INFO,)
) -> dict[str, str]:
    said = await _said(node, [*commands])
    lines = [
        line.partition(":") for text in said for line in text.decode().splitlines()
    ]
    return {name: value for name, _, value in lines}


def _is_unloaded(reply: Any) -> bool:
    return isinstance(reply, Exception) and (
        "NOSCRIPT" in str(reply) or "Function not found" in str(reply)
    )
