"""The store on Redis or Valkey: one pipelined exchange to observe, one to record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis
from redis.exceptions import RedisError

from scoring.adapters.redis_arguments import Arguments, Call
from scoring.adapters.redis_connection import Command, RedisConnection
from scoring.adapters.redis_layout import (
    Layout,
    outbox_field,
)
from scoring.adapters.redis_program import (
    CALLS,
    Program,
    Terms,
)
from scoring.core.catalogue import Catalogue
from scoring.core.transaction import Transaction
from scoring.errors import BadArtifact, CorruptState, StoreUnavailable
from scoring.ports import (
    Check,
    LabelledTransaction,
    Observation,
    Recorded,
    Recording,
)

TIMEOUT_S_DEFAULT = 5.0
_OTHER_PAYLOAD = -1
_DECIDED = b"DP1234"  # what a recorded decision begins with; see the Lua program
# What stands in place of the number of transactions processed; the program counts on
# from the first, so that 1 means that the key was gone.
_FIRST, _LOST = 1, b"lost"
HadHistory = Callable[[], Awaitable[bool]]


class RedisStore:
    """`ports.Store` on one Redis >= 6.2 or Valkey instance."""

    _functions_from = 7  # the release of Redis that brought functions

    def __init__(
        self,
        client: Redis,
        catalogue: Catalogue,
        *,
        namespace: str,
        terms: Terms,
        claims: str = "",
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._program = Program(catalogue, terms)
        self._connection = RedisConnection(client)
        self._scripts: dict[str, Command] = {}
        self._layout = Layout(catalogue, self._program, namespace, claims=claims)
        self._arguments = Arguments(catalogue, self._program, self._layout)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        catalogue: Catalogue,
        namespace: str,
        lateness_ms: int,
        dedupe_ms: int,
        cluster: bool = False,
        claims: str = "",
        had_history: HadHistory | None = None,
    ) -> Self:
        """Connect, refuse a server that may evict, and load the program.

        `had_history` is asked where the namespace is empty: True there means that
        the history is lost, and nothing is answered from it before a rebuild.
        `claims` is another namespace for claims and decisions: a rebuild's own.
        Raises `StoreUnavailable` when there is no answer, `BadArtifact` when the
        server's settings would lose history.
        """
        if cluster:
            raise BadArtifact(
                "SCORING_REDIS_CLUSTER: Redis Cluster is not supported yet; name one "
                "primary, with its replicas behind Sentinel or your provider"
            )
        try:
            client = Redis.from_url(url, socket_connect_timeout=TIMEOUT_S_DEFAULT)
        except ValueError as error:
            # Never the URL itself: it may hold a password.
            raise BadArtifact(
                "SCORING_REDIS_URL: must begin with redis://, rediss:// or unix://"
            ) from error
        terms = Terms(lateness_ms, dedupe_ms)
        store = cls(client, catalogue, namespace=namespace, terms=terms, claims=claims)
        try:
            await store._refuse_eviction()
            await store._load()
            await store._begin(had_history)
        except (OSError, RedisError) as error:
            await client.aclose()
            raise StoreUnavailable(f"connection failed: {error}") from error
        except BaseException:
            await client.aclose()
            raise
        return store

    async def _refuse_eviction(self) -> None:
        memory = await self._client.info("memory")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise BadArtifact(
                f"the store's maxmemory-policy is {policy!r}, which may evict history "
                "and decisions; run CONFIG SET maxmemory-policy noeviction"
            )

    async def _load(self) -> None:
        """Load the program as functions, or as scripts on servers without them."""
        version = str((await self._client.info("server")).get("redis_version", "7"))
        names = tuple(CALLS)
        if int(version.partition(".")[0]) >= self._functions_from:
            await self._client.function_load(self._program.library(), replace=True)
            name = self._program.name
            self._scripts = {n: (b"FCALL", f"{name}_{n}".encode()) for n in names}
            return
        for n in names:
            sha = await self._client.script_load(self._program.script(n))
            self._scripts[n] = (b"EVALSHA", sha)

    async def _begin(self, had_history: HadHistory | None) -> None:
        """Begin the order of processing where there is none, unless it was lost."""
        key = self._layout.processed_key
        if not await self._client.exists(key):
            lost = had_history is not None and await had_history()
            await self._client.set(key, _LOST if lost else _FIRST, nx=True)

    async def _calls(
        self, commands: list[Command], timeout_s: float | None
    ) -> list[Any]:
        timeout_s = TIMEOUT_S_DEFAULT if timeout_s is None else timeout_s
        replies = await self._connection.exchange(commands, timeout_s=timeout_s)
        lost = [i for i, r in enumerate(replies) if _is_unloaded(r)]
        if lost:  # the server was restarted or its functions were flushed
            await self._reload()
            again = await self._connection.exchange(
                [commands[i] for i in lost], timeout_s=timeout_s
            )
            for i, reply in zip(lost, again, strict=True):
                replies[i] = reply
        failed = next((r for r in replies if isinstance(r, Exception)), None)
        if failed is not None:
            raise StoreUnavailable(f"the store refused: {failed}")
        return replies

    async def _whole(
        self, commands: list[Command], timeout_s: float | None
    ) -> list[Any]:
        """The replies of a store whose history is complete, else `StoreUnavailable`."""
        asked: list[Command] = [*commands, (b"GET", self._layout.processed_key)]
        *replies, processed = await self._calls(asked, timeout_s)
        if not (processed or b"").isdigit():
            raise StoreUnavailable("the history is not there: `scoring rebuild`")
        return replies

    async def _reload(self) -> None:
        try:
            # The idle connections may be of a server that is gone.
            await self._client.connection_pool.disconnect()
            await self._load()
        except (OSError, RedisError) as error:
            raise StoreUnavailable(f"connection failed: {error}") from error

    # Observing ---------------------------------------------------------------

    async def observe(
        self, checks: Sequence[Check], *, timeout_s: float | None = None
    ) -> list[Observation]:
        """See `ports.Store`."""
        asked = [self._arguments.observe(check) for check in checks]
        commands = [self._command("observe", call) for _, call in asked]
        replies = await self._calls(commands, timeout_s)
        return [
            self._layout.observation(entities, reply)
            for (entities, _), reply in zip(asked, replies, strict=True)
        ]

    def _command(self, name: str, call: Call) -> Command:
        keys, arguments = call
        return (*self._scripts[name], len(keys), *keys, *arguments)

    # Recording ---------------------------------------------------------------

    async def record(
        self, recordings: Sequence[Recording], *, timeout_s: float | None = None
    ) -> list[Recorded]:
        """See `ports.Store`."""
        calls = map(self._arguments.record, recordings)
        commands = [self._command("record", call) for call in calls]
        replies = await self._calls(commands, timeout_s)
        return [
            Recorded(decision, first=code == 1, conflict=code == _OTHER_PAYLOAD)
            for code, decision in replies
        ]

    async def decisions(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[bytes | None]:
        """See `ports.Store`."""
        if not keys:
            return []
        wanted = [self._layout.decision_key(*key) for key in keys]
        values = (await self._whole([(b"MGET", *wanted)], timeout_s))[0]
        return [v[33:] if v and v[:1] in _DECIDED else None for v in values]

    async def outbox(self, *, count_max: int) -> list[tuple[str, str, bytes]]:
        """See `ports.Store`."""
        command: Command = (b"HSCAN", self._layout.outbox_key, 0, b"COUNT", count_max)
        ((_, flat),) = await self._calls([command], None)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        found = [(*field.decode().split(":", 1), logged) for field, logged in pairs]
        return [(tenant, id_, logged) for tenant, id_, logged in found[:count_max]]

    async def published(self, keys: Sequence[tuple[str, str]]) -> None:
        """See `ports.Store`."""
        if keys:
            fields = [outbox_field(*key) for key in keys]
            await self._calls([(b"HDEL", self._layout.outbox_key, *fields)], None)

    # Labels and forecasts ----------------------------------------------------

    async def learn(
        self, labels: Sequence[LabelledTransaction], *, timeout_s: float | None = None
    ) -> None:
        """See `ports.Store`."""
        calls = filter(None, map(self._arguments.learn, labels))
        commands = [self._command("learn", call) for call in calls]
        corrupt = b",".join(filter(None, await self._whole(commands, timeout_s)))
        if corrupt:
            raise CorruptState(f"not ours, or damaged: {corrupt.decode()}")

    async def forecast(
        self,
        transaction: Transaction,
        *,
        features: Sequence[str],
        after_ms: int,
        instants_max: int,
        timeout_s: float | None = None,
    ) -> list[tuple[int, NDArray[np.float64]]]:
        """See `ports.Store`."""
        ask = self._arguments.forecast(transaction, features)
        if ask is None:
            return []
        once = [
            self._command("forecast", ask.call(transaction, after_ms, instants_max))
        ]
        (reply,) = await self._calls(once, timeout_s)
        found = self._layout.forecast(ask.entities, reply)
        if not any(entity.reads_clock for entity in ask.entities):
            return found
        # What the payload counts for depends on the hour: ask as of each instant.
        later = [replace(transaction, occurred_at_ms=at_ms) for at_ms, _ in found]
        calls = [ask.call(t, t.occurred_at_ms - 1, 1) for t in later]
        commands = [self._command("forecast", call) for call in calls]
        replies = await self._calls(commands, timeout_s)
        return [row for r in replies for row in self._layout.forecast(ask.entities, r)]

    async def ping(self, *, timeout_s: float | None = None) -> None:
        """See `ports.Store`."""
        await self._whole([(b"PING",)], timeout_s)

    async def close(self) -> None:
        """See `ports.Store`."""
        await self._connection.close()
        await self._client.aclose()


def _is_unloaded(reply: Any) -> bool:
    return isinstance(reply, Exception) and (
        "NOSCRIPT" in str(reply) or "Function not found" in str(reply)
    )
