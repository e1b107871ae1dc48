"""Puts a history back into the store: bulk state, replayed events, decisions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from scoring.adapters.redis_connection import Command, RedisConnection
from scoring.adapters.redis_layout import JOINER, Layout
from scoring.adapters.redis_program import Program, Terms
from scoring.adapters.redis_store import RedisStore
from scoring.core.catalogue import Catalogue, EntityPlan
from scoring.core.decision import Outcome
from scoring.core.transaction import Transaction
from scoring.errors import StoreUnavailable
from scoring.ports import Check, LabelledTransaction, Recording

_TIMEOUT_S = 60.0  # nobody waits for a rebuild; a busy store is no failure
_KEYS_PER_COMMAND = 500
_PATTERN_SPECIAL = str.maketrans({c: f"\\{c}" for c in "*?[]\\"})
Item = tuple[bytes, bytes, int]  # key, value, milliseconds until it expires


@dataclass(slots=True, kw_only=True)
class RedisHistory:
    """One namespace of a store whose history is being put back.

    `store` observes and learns under claims of its own, so that neither the live
    claims nor the decisions restored here answer in its place.
    """

    client: Redis
    connection: RedisConnection
    store: RedisStore
    layout: Layout
    scratch: Layout
    namespace: str
    url: str
    catalogue: Catalogue
    terms: Terms

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, catalogue: Catalogue, namespace: str, terms: Terms
    ) -> AsyncIterator[RedisHistory]:
        """Connect; raises as `RedisStore.connect`. What is scratch is cleared away."""
        claims = f"{namespace}:rebuild"
        store = await RedisStore.connect(
            url,
            catalogue=catalogue,
            namespace=namespace,
            lateness_ms=terms.lateness_ms,
            dedupe_ms=terms.dedupe_ms,
            claims=claims,
        )
        client = Redis.from_url(url)
        program = Program(catalogue, terms)
        history = cls(
            client=client,
            connection=RedisConnection(client),
            store=store,
            layout=Layout(catalogue, program, namespace),
            scratch=Layout(catalogue, program, namespace, claims=claims),
            namespace=namespace,
            url=url,
            catalogue=catalogue,
            terms=terms,
        )
        try:
            yield history
        finally:
            await client.delete(history.scratch.processed_key)
            await history.connection.close()
            await client.aclose()
            await store.close()

    @asynccontextmanager
    async def aside(self, name: str) -> AsyncIterator[RedisHistory]:
        """Another namespace of the same store, gone with the block."""
        async with RedisHistory.open(
            self.url,
            catalogue=self.catalogue,
            namespace=f"{self.namespace}:{name}",
            terms=self.terms,
        ) as other:
            try:
                yield other
            finally:
                await other.wipe()
                await self.client.delete(other.layout.processed_key)

    # The mark ----------------------------------------------------------------

    async def mark(self) -> str:
        """What stands where transactions are numbered: a number, a word or nothing."""
        found: Any = await self.client.get(self.layout.processed_key)
        return (found or b"").decode()

    async def set_mark(self, mark: str | int) -> None:
        """A word keeps every server from the history; a number lets them at it."""
        await self.client.set(self.layout.processed_key, mark)

    async def is_begun(self) -> bool:
        """Whether any entity has a history under these definitions."""
        version = self.catalogue.version[:8]
        async for _ in self._found(f"{_literal(self.namespace)}:{version}:*"):
            return True
        return False

    # Putting back ------------------------------------------------------------

    async def replay(self, rows: Sequence[tuple[Check, Outcome]]) -> None:
        """Count transactions in this order, as the store did when they came, and
        what was decided of them.
        """
        await self.store.observe([check for check, _ in rows], timeout_s=_TIMEOUT_S)
        if any(plan.by_outcome for plan in self.catalogue.plans):
            recordings = [_recording(check, outcome) for check, outcome in rows]
            await self.store.record(recordings, timeout_s=_TIMEOUT_S)
        keys = [self._claim(check.transaction) for check, _ in rows]
        await self._send([(b"UNLINK", *keys)])

    def _claim(self, t: Transaction) -> bytes:
        return self.scratch.decision_key(t.tenant, t.id)

    async def learn(self, labels: Sequence[LabelledTransaction]) -> None:
        """Apply labels, as `ports.Store`."""
        await self.store.learn(labels, timeout_s=_TIMEOUT_S)

    async def install(self, items: Iterable[Item]) -> None:
        """Put values under their keys, whatever stood there."""
        await self._send([(b"SET", k, v, b"PX", ttl_ms) for k, v, ttl_ms in items])

    def decided(
        self, t: Transaction, payload_hash: bytes, decision: bytes, ttl_ms: int
    ) -> Item:
        """A recorded decision, to be installed."""
        key = self.layout.decision_key(t.tenant, t.id)
        return key, b"D" + payload_hash + decision, ttl_ms

    async def _send(self, commands: list[Command]) -> None:
        if not commands:
            return
        replies = await self.connection.exchange(commands, timeout_s=_TIMEOUT_S)
        failed = next((r for r in replies if isinstance(r, Exception)), None)
        if failed is not None:
            raise StoreUnavailable(f"the store refused: {failed}")

    async def values(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What stands under keys."""
        found: Any = await self.client.mget(keys) if keys else []
        return list(found)

    # Taking away -------------------------------------------------------------

    async def wipe(self) -> int:
        """Remove every entity and decision of the namespace; what is yet to be
        published stays. Returns how many keys went.
        """
        kept = {
            self.layout.processed_key,
            self.layout.outbox_key,
            self.scratch.processed_key,
        }
        count = 0
        async for keys in self._found(f"{_literal(self.namespace)}:*"):
            count += await self._unlink([key for key in keys if key not in kept])
        return count

    async def forget_entity(
        self, plan: EntityPlan, *, tenant: str, field: str, token: str
    ) -> int:
        """Remove the state of one entity, and of pairs that it is part of, under
        every version of the definitions. Returns how many keys went.
        """
        place = plan.fields.index(field)
        stem = f"{{{plan.name}:{tenant}:"
        pattern = f"{_literal(self.namespace)}:*:{_literal(stem)}*"
        count = 0
        async for keys in self._found(pattern):
            own = [k for k in keys if tokens_of(k, stem)[place : place + 1] == [token]]
            count += await self._unlink(own)
        return count

    async def forget_decisions(self, ids: Sequence[tuple[str, str]]) -> int:
        """Remove recorded decisions by (tenant, transaction id)."""
        return await self._unlink([self.layout.decision_key(*id_) for id_ in ids])

    async def _found(self, pattern: str) -> AsyncIterator[list[bytes]]:
        cursor = 0
        while True:
            keys: Any
            cursor, keys = await self.client.scan(cursor, match=pattern, count=1_000)
            if keys:
                yield keys
            if not cursor:
                return

    async def _unlink(self, keys: Sequence[bytes]) -> int:
        count = 0
        for i in range(0, len(keys), _KEYS_PER_COMMAND):
            count += await self.client.unlink(*keys[i : i + _KEYS_PER_COMMAND])
        return count


def _recording(check: Check, outcome: Outcome) -> Recording:
    """What a claim of the moment needs, so that the outcome is counted."""
    t = check.transaction
    return Recording(
        tenant=t.tenant,
        transaction_id=t.id,
        payload_hash=check.payload_hash,
        decision=b"",
        transaction=t,
        outcome=outcome,
    )


def tokens_of(key: bytes, stem: str) -> list[str]:
    """The tokens that a key of an entity's history is about.

    >>> tokens_of(b"live:1a2b3c4d:{card:default:c1}:e", "{card:default:")
    ['c1']
    """
    tag = key.decode().partition(stem)[2]
    return tag.rpartition("}")[0].split(JOINER)


def _literal(text: str) -> str:
    return text.translate(_PATTERN_SPECIAL)
