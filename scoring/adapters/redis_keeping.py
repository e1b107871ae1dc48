"""What is being observed in a cluster, and what was, on its way to its claims."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scoring.adapters.redis_address import TIMEOUT_S_DEFAULT
from scoring.adapters.redis_calls import Calls
from scoring.adapters.redis_connection import Command
from scoring.adapters.redis_program import EntityProgram
from scoring.errors import StoreUnavailable
from scoring.ports import Check

Entity = tuple[EntityProgram, list[bytes], bytes]  # with its keys and inputs
Seen = tuple[bytes, bytes, bytes]  # values, inexact slots, corrupt parts of all


@dataclass(slots=True)
class Look:
    """One transaction that is being observed."""

    check: Check
    claim: bytes
    entities: list[Entity]
    order: bytes
    mode: bytes  # N count, L too late, D dry run
    outcome: int = 0  # of a decision that stands, and was not observed
    standing: bytes = b""
    wrong: bytes = b""
    parts: list[Any] = field(default_factory=list)  # what each entity's server said
    seq: int = 0
    whole: bool = True  # every entity was asked, and the transaction has its number
    seen: Seen = (b"", b"", b"")

    def take(self, parts: list[Any], *, torn: bool) -> None:
        """What the entities' servers said; `torn` where some of a batch's did not."""
        self.parts, self.seen = parts, self._merged(parts)
        if torn:
            numbered = self.mode == b"D" or self.seq > 0
            self.whole = numbered and not any(isinstance(p, Exception) for p in parts)

    def _merged(self, parts: list[Any]) -> Seen:
        if not self.wrong and all(type(part) is bytes for part in parts):
            return b"".join(parts), b"", b""
        values, inexact, wrong, base = [], [], [self.wrong], 0
        for (entity, _, _), part in zip(self.entities, parts, strict=True):
            count = len(entity.plan.slots)
            if isinstance(part, Exception):
                values.append(np.full(count, np.nan).tobytes())
            elif isinstance(part, bytes):
                values.append(part)
            else:
                own = np.frombuffer(part[1], ">u2") + base
                values.append(part[0])
                inexact.append(own.astype(">u2").tobytes())
                wrong.append(part[2])
            base += count
        return b"".join(values), b"".join(inexact), b",".join(filter(None, wrong))


class Keeping:
    """Keeps what was observed with the claims, in the background.

    Nobody else has seen it yet: where it is lost with this process, a repeat looks
    again, and nothing was decided of what was seen first.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        # What is on its way: recording waits for it, and so does a repeat.
        self._keeping: dict[bytes, asyncio.Task[None]] = {}

    def keep(self, looks: list[Look]) -> None:
        """Begin to keep those that are whole and are no dry run."""
        kept = [look for look in looks if look.mode != b"D" and look.whole]
        if not kept:
            return
        commands = [
            self._calls.command(
                "keep",
                ([look.claim],
                 [look.check.payload_hash, look.mode, look.seq, *look.seen]),
            )
            for look in kept
        ]  # fmt: skip
        task = asyncio.get_running_loop().create_task(self._ask(commands))
        for look in kept:
            self._keeping[look.claim] = task
        task.add_done_callback(lambda done: self._kept(done, kept))

    async def _ask(self, commands: list[Command]) -> None:
        await self._calls.ask(commands, TIMEOUT_S_DEFAULT)

    def _kept(self, task: asyncio.Task[None], looks: list[Look]) -> None:
        if not task.cancelled():
            task.exception()  # who records is told; nobody else has to know
        for look in looks:
            if self._keeping.get(look.claim) is task:
                del self._keeping[look.claim]

    async def settled(self, claims: list[bytes], ends: float) -> None:
        """Return when these claims are kept; raises `StoreUnavailable` if not."""
        if not self._keeping:
            return
        waiting = {self._keeping[claim] for claim in claims if claim in self._keeping}
        if not waiting:
            return
        done, late = await asyncio.wait(waiting, timeout=left_s(ends))
        failed = [task.exception() for task in done if not task.cancelled()]
        if late or any(failed):
            raise StoreUnavailable("what was observed could not be kept")


def ends_at(timeout_s: float | None) -> float:
    """When an exchange that may take so long has to end, on the loop's clock."""
    left = TIMEOUT_S_DEFAULT if timeout_s is None else timeout_s
    return asyncio.get_running_loop().time() + left


def left_s(ends: float) -> float:
    """What is left until then, seconds."""
    return max(ends - asyncio.get_running_loop().time(), 0.0)
