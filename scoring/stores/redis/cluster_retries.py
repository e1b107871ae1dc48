"""What is being observed in a cluster, and what was, on its way to its claims."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scoring.errors import StoreUnavailable
from scoring.ports.check import Check
from scoring.stores.redis.address import TIMEOUT_S_DEFAULT
from scoring.stores.redis.calls import Call, keep
from scoring.stores.redis.connection import Command
from scoring.stores.redis.formats import Mode
from scoring.stores.redis.script_client import Calls
from scoring.stores.redis.script_compiler import EntityProgram

# A decision takes a few milliseconds; with it, keeping costs no exchange of its own.
_HELD_S = 0.02
Entity = tuple[EntityProgram, list[bytes], bytes]  # with its keys and inputs
Seen = tuple[bytes, bytes, bytes]  # values, inexact slots, corrupt parts of all


@dataclass(slots=True)
class Look:
    """One transaction that is being observed."""

    check: Check
    claim: bytes
    mark: bytes
    entities: list[Entity]
    order: bytes
    mode: Mode  # COUNT, LATE or DRY_RUN
    outcome: int = 0  # of a decision that is recorded, and was not observed
    decision: bytes = b""
    wrong: bytes = b""
    parts: list[Any] = field(default_factory=list)  # what each entity's server said
    seq: int = 0
    whole: bool = True  # every entity was asked, and the transaction has its number
    seen: Seen = (b"", b"", b"")

    def take(self, parts: list[Any], *, torn: bool) -> None:
        """What the entities' servers said; `torn` where some of a batch's did not."""
        self.parts, self.seen = parts, self._merged(parts)
        if torn:
            numbered = self.mode is Mode.DRY_RUN or self.seq > 0
            failed = any(isinstance(part, Exception) for part in parts)
            self.whole = self.whole and numbered and not failed

    @property
    def kept(self) -> Call:
        """What keeps what was observed."""
        values, inexact, wrong = self.seen
        return keep(
            self.claim,
            self.mark,
            payload_hash=self.check.payload_hash,
            done=self.mode,
            seq=self.seq,
            values=values,
            inexact=inexact,
            wrong=wrong,
            outcome=self.outcome,
        )

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
    """Keeps what was observed with the claims: on the way of the decision, or soon.

    Nobody else has seen it yet: where it is lost with this process, a repeat looks
    again, and nothing was decided of what was seen first.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._held: dict[bytes, Command] = {}  # for the decision to take along
        self._sent: dict[bytes, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, looks: list[Look]) -> None:
        """Keep those that are whole and are no dry run, within milliseconds."""
        for look in looks:
            if look.whole and look.mode is not Mode.DRY_RUN:
                self._held[look.claim] = self._calls.command(look.kept)
        if self._held and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_HELD_S, self._send)

    def taken(self, claims: list[bytes]) -> list[Command]:
        """What is still to be kept of these claims, for the caller to send."""
        if not self._held:
            return []
        return [self._held.pop(claim) for claim in claims if claim in self._held]

    def _send(self) -> None:
        held, self._held, self._timer = self._held, {}, None
        if held:
            commands = list(held.values())
            task = asyncio.get_running_loop().create_task(self._ask(commands))
            self._sent.update(dict.fromkeys(held, task))
            task.add_done_callback(lambda done: self._kept(done, held))

    async def _ask(self, commands: list[Command]) -> None:
        await self._calls.ask(commands, TIMEOUT_S_DEFAULT)

    def _kept(self, task: asyncio.Task[None], held: dict[bytes, Command]) -> None:
        failed = task.cancelled() or task.exception() is not None
        for claim, command in held.items():
            if self._sent.get(claim) is task:
                del self._sent[claim]
                if failed:  # the decision, or what is sent next, takes it along
                    self._held.setdefault(claim, command)

    async def settled(
        self, claims: list[bytes], ends: float, *, held: bool = False
    ) -> None:
        """Return when what was sent of these claims is kept, and what is `held`, too.

        Raises `StoreUnavailable` where it could not be kept.
        """
        if held and self._held and not self._held.keys().isdisjoint(claims):
            self._send()
        if not self._sent:
            return
        waiting = {self._sent[claim] for claim in claims if claim in self._sent}
        if not waiting:
            return
        done, late = await asyncio.wait(waiting, timeout=left_s(ends))
        failed = [task.exception() for task in done if not task.cancelled()]
        if late or any(failed):
            raise StoreUnavailable("what was observed could not be kept")

    async def close(self) -> None:
        """Send what is held, and wait for it."""
        if self._timer is not None:
            self._timer.cancel()
        self._send()
        await asyncio.gather(*self._sent.values(), return_exceptions=True)


def ends_at(timeout_s: float | None) -> float:
    """When an exchange that may take so long has to end, on the loop's clock."""
    left = TIMEOUT_S_DEFAULT if timeout_s is None else timeout_s
    return asyncio.get_running_loop().time() + left


def left_s(ends: float) -> float:
    """What is left until then, seconds."""
    return max(ends - asyncio.get_running_loop().time(), 0.0)
