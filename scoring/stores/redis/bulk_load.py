"""Puts a history back into the store: bulk state, replayed events, decisions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.transaction.transaction import Transaction
from scoring.errors import StoreUnavailable
from scoring.ports.check import Check
from scoring.ports.follow_ups import FollowUp
from scoring.ports.records import Recording
from scoring.stores.redis.address import StoreAddress
from scoring.stores.redis.connection import Command, Link
from scoring.stores.redis.formats import Claim
from scoring.stores.redis.keys import JOINER, Layout, joined
from scoring.stores.redis.script_compiler import Program, Terms
from scoring.stores.redis.store import RedisStore
from scoring.wire import recorded_to_bytes

_KEYS_PER_EXCHANGE = 10_000
_TIMEOUT_S = 60.0  # nobody waits for a rebuild; a busy store is no failure
_PATTERN_SPECIAL = str.maketrans({c: f"\\{c}" for c in "*?[]\\"})
Item = tuple[bytes, bytes, int]  # key, value, milliseconds until it expires


@dataclass(slots=True, kw_only=True)
class RedisHistory:
    """One namespace of a store whose history is being put back.

    `store` observes and learns under claims of its own, so that neither the live
    claims nor the decisions restored here answer in its place.
    """

    link: Link
    store: RedisStore
    layout: Layout
    scratch: Layout
    namespace: str
    address: StoreAddress
    catalogue: Catalogue
    terms: Terms

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        address: StoreAddress | str,
        *,
        catalogue: Catalogue,
        namespace: str,
        terms: Terms,
    ) -> AsyncIterator[RedisHistory]:
        """Connect; raises as `RedisStore.connect`. What is scratch is cleared."""
        if isinstance(address, str):
            address = StoreAddress(address)
        claims = f"{namespace}:rebuild"
        store = await RedisStore.connect(
            address,
            catalogue=catalogue,
            namespace=namespace,
            lateness_ms=terms.lateness_ms,
            dedupe_ms=terms.dedupe_ms,
            claims=claims,
        )
        program, parted = Program(catalogue, terms), address.cluster
        history = cls(
            link=await address.connected(),
            store=store,
            layout=Layout(catalogue, program, namespace, parted=parted),
            scratch=Layout(catalogue, program, namespace, claims=claims, parted=parted),
            namespace=namespace,
            address=address,
            catalogue=catalogue,
            terms=terms,
        )
        try:
            yield history
        finally:
            await history.unlink(history.scratch.claims.numbering)
            await history.link.close()
            await store.close()

    @asynccontextmanager
    async def aside(self, name: str) -> AsyncIterator[RedisHistory]:
        """Another namespace of the same store, removed with the block."""
        async with RedisHistory.open(
            self.address,
            catalogue=self.catalogue,
            namespace=f"{self.namespace}:{name}",
            terms=self.terms,
        ) as other:
            try:
                yield other
            finally:
                await other.wipe()
                await other.unlink(other.layout.claims.numbering)

    # The mark ----------------------------------------------------------------

    async def mark(self) -> str:
        """What is where transactions are numbered: a number, a word or nothing."""
        (found,) = await self.values([self.layout.claims.processed])
        return (found or b"").decode()

    async def set_mark(self, mark: str | int, *, newest_ms: int = 0) -> None:
        """A word keeps every server from the history; a number lets them at it, in
        which no event is newer than `newest_ms`.
        """
        claims = self.layout.claims
        if claims.marks and isinstance(mark, int):
            await self._send([(b"SET", key, 1) for key in claims.marks])
            await self._send([(b"SET", claims.newest, newest_ms)])
        await self._send([(b"SET", claims.processed, mark)])

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
        await self.unlink(keys)

    def _claim(self, t: Transaction) -> bytes:
        return self.scratch.claims.decision(t.tenant, t.id)

    async def learn(self, follow_ups: Sequence[FollowUp]) -> None:
        """Apply labels and lifecycle events, as `ports.follow_ups`."""
        await self.store.learn(follow_ups, timeout_s=_TIMEOUT_S)

    async def install(self, items: Iterable[Item]) -> None:
        """Put values under their keys, whatever was there."""
        await self._send([(b"SET", k, v, b"PX", ttl_ms) for k, v, ttl_ms in items])

    def decided(
        self, t: Transaction, payload_hash: bytes, decision: bytes, ttl_ms: int
    ) -> Item:
        """A recorded decision, to be installed."""
        key = self.layout.claims.decision(t.tenant, t.id)
        return (
            key,
            Claim.DECIDED + payload_hash + recorded_to_bytes(decision, t),
            ttl_ms,
        )

    async def _send(self, commands: list[Command]) -> list[Any]:
        replies = await self.link.exchange(commands, timeout_s=_TIMEOUT_S)
        failed = next((r for r in replies if isinstance(r, Exception)), None)
        if failed is not None:
            raise StoreUnavailable(f"the store refused: {failed}")
        return replies

    async def values(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What is under keys."""
        return await self._send([(b"GET", key) for key in keys])

    # Taking away -------------------------------------------------------------

    async def wipe(self) -> int:
        """Remove every entity and decision of the namespace; what is yet to be
        published stays. Returns how many keys went.
        """
        kept = self.layout.claims.lasting | self.scratch.claims.lasting
        count = 0
        async for keys in self._found(f"{_literal(self.namespace)}:*"):
            count += await self.unlink([key for key in keys if key not in kept])
        return count

    async def forget_entity(
        self, plan: EntityPlan, *, tenant: str, field: str, token: str
    ) -> int:
        """Remove the state of one entity, and of pairs that it is part of, under
        every version of the definitions. Returns how many keys went.
        """
        place, name = plan.fields.index(field), joined([token])
        stem = f"{{{plan.name}:{tenant}:"
        pattern = f"{_literal(self.namespace)}:*:{_literal(stem)}*"
        count = 0
        async for keys in self._found(pattern):
            own = [k for k in keys if tokens_of(k, stem)[place : place + 1] == [name]]
            count += await self.unlink(own)
        return count

    async def forget_decisions(self, ids: Sequence[tuple[str, str]]) -> int:
        """Remove recorded decisions by (tenant, transaction id), and what became known
        of their payments. Returns how many decisions went.
        """
        for kept in (self.layout.follow_ups, self.layout.counted):
            await self.unlink([kept(*id_) for id_ in ids])
        return await self.unlink([self.layout.claims.decision(*id_) for id_ in ids])

    async def _found(self, pattern: str) -> AsyncIterator[list[bytes]]:
        for node in await self.link.primaries():
            cursor: Any = 0
            while True:
                scan: Command = (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", 1_000)
                (found,) = await node.exchange([scan], timeout_s=_TIMEOUT_S)
                if isinstance(found, Exception):
                    raise StoreUnavailable(f"the store refused: {found}")
                cursor, keys = found
                if keys:
                    yield keys
                if cursor == b"0":
                    break

    async def unlink(self, keys: Iterable[bytes]) -> int:
        """Remove keys; returns how many there were."""
        commands: list[Command] = [(b"UNLINK", key) for key in keys]
        count = 0
        for i in range(0, len(commands), _KEYS_PER_EXCHANGE):
            count += sum(await self._send(commands[i : i + _KEYS_PER_EXCHANGE]))
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
