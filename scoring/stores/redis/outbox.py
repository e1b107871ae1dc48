"""The outbox in the store: decisions on their way to the log, and who carries them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scoring.stores.redis.claim_keys import ClaimKeys
from scoring.stores.redis.connection import Command
from scoring.stores.redis.keys import outbox_field
from scoring.stores.redis.script_client import Calls

Entry = tuple[str, str, bytes]  # tenant, transaction id, logged bytes
_MS_PER_S = 1_000


@dataclass(frozen=True, slots=True)
class RedisOutbox:
    """The outboxes of all parts of a store, as one; see `ports.outbox`."""

    calls: Calls
    claims: ClaimKeys

    async def pages(self, count: int) -> AsyncIterator[list[Entry]]:
        """All of it, about `count` entries at a time."""
        for outbox in await self._filled():
            cursor: Any = 0
            while True:
                scan: Command = (b"HSCAN", outbox, cursor, b"COUNT", count)
                ((cursor, flat),) = await self.calls.ask([scan], None)
                if flat:
                    yield list(_entries(flat))
                if int(cursor) == 0:
                    break

    async def _filled(self) -> list[bytes]:
        """The outboxes that hold anything: of a cluster's many, mostly none."""
        outboxes = self.claims.outboxes
        lengths = await self.calls.ask([(b"HLEN", key) for key in outboxes], None)
        return [key for key, length in zip(outboxes, lengths, strict=True) if length]

    async def clear(self, keys: Sequence[tuple[str, str]]) -> None:
        """Take these out."""
        fields: dict[bytes, list[bytes]] = {}
        for key in keys:
            fields.setdefault(self.claims.outbox(*key), []).append(outbox_field(*key))
        commands: list[Command] = [
            (b"HDEL", outbox, *own) for outbox, own in fields.items()
        ]
        await self.calls.ask(commands, None)

    async def lease(self, name: str, holder: str, for_s: float) -> bool:
        """See `ports.outbox`."""
        key, mine = self.claims.lease(name), holder.encode()
        ms = int(for_s * _MS_PER_S)
        taken, held_by = await self.calls.ask(
            [(b"SET", key, mine, b"NX", b"PX", ms), (b"GET", key)], None
        )
        if not taken and held_by == mine:
            await self.calls.ask([(b"PEXPIRE", key, ms)], None)
        return bool(held_by == mine)


def _entries(flat: Sequence[bytes]) -> Iterable[Entry]:
    for name, logged in zip(flat[::2], flat[1::2], strict=True):
        tenant, _, id_ = name.decode(errors="replace").partition(":")
        # Under a name that is not ours is nothing that could be carried.
        yield tenant, id_, logged if outbox_field(tenant, id_) == name else b""
