"""Pipelines to a Redis Cluster: one to each primary that a batch concerns.

Every command goes to the server of its first key's slot. redis-py opens the
connections (TLS, AUTH); which server owns which slot is asked of the servers.
"""

from __future__ import annotations

import asyncio
import contextlib
from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import RedisError

from scoring.errors import HistoryLost, StoreLate, StoreRefused, StoreUnavailable
from scoring.stores.redis.connection import Command, RedisConnection, StoreSilent

SLOTS = 16_384
_CALLS = frozenset({b"FCALL", b"EVALSHA"})
_CONNECT_S = 1.0
_REVIVE_INTERVAL_S = 0.05
_TRY_AGAIN_S = 0.002  # longer each time: a slot on its way moves key by key
_STALLED_S = 0.5  # a server that owes replies and is silent for this long is left
_REDIRECTS_MAX = 16  # of one exchange; more are a cluster at odds with itself
# What a server says that cannot serve now, and will be asked again later.
_UNAVAILABLE = ("CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY")
# What it says that knows better where the answer is.
_TRY_AGAIN = "TRYAGAIN"  # one of the command's keys has moved, and one has not
_GOES_ON = ("MOVED", "ASK", _TRY_AGAIN)
_ASKING: Command = (b"ASKING",)
_PING: Command = (b"PING",)
_SLOTS_OF: Command = (b"CLUSTER", b"SLOTS")
Place = tuple[str, int]  # host, port
# Which commands went to which server, and their replies.
_Sent = tuple[list[int], RedisConnection, asyncio.Future[list[Any]]]


@dataclass(frozen=True, slots=True)
class _Limits:
    """Of an exchange: when it ends, and how long a server may say nothing."""

    ends: float
    silence_s: float


class ClusterConnection:
    """A connection to each server of a cluster, shared by the callers of one loop.

    A server that was lost is not asked until it, or the one that takes its place,
    has answered: what concerns it fails at once and holds nobody up.
    """

    def __init__(self, client: Redis, seeds: Sequence[Place]) -> None:
        self._pool: Any = client.connection_pool  # carries no types
        self._seeds = seeds
        self._host = seeds[0][0]  # of servers that name no host
        self._nodes: dict[Place, RedisConnection] = {}
        self._owners: list[RedisConnection | None] = [None] * SLOTS
        self._importing: set[RedisConnection] = set()  # told of by ASK
        self._marks: Sequence[bytes] = ()
        self._mark_of: dict[RedisConnection | None, bytes] = {}
        self._reviving: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Learn who owns what and connect to all; raises `StoreUnavailable`."""
        await self._learn()
        if None in self._owners:
            raise StoreUnavailable("the cluster does not serve every slot")
        for node in await self.primaries():
            await node.exchange([_PING], timeout_s=_CONNECT_S)

    # Asking ------------------------------------------------------------------

    def watch(self, marks: Sequence[bytes]) -> None:
        """Ask each server for one of these keys that is its own, with every exchange.

        A server that has not got it has lost what it knew: `StoreUnavailable`.
        """
        self._marks = marks
        self._find_marks()

    def _find_marks(self) -> None:
        self._mark_of = {self._owners[slot_of(key)]: key for key in self._marks}

    async def exchange(
        self, commands: Sequence[Command], *, timeout_s: float, silence_s: float = inf
    ) -> list[Any]:
        """Send each command to the server of its key; replies in order.

        As `Link`, and `StoreUnavailable` is in the place of a reply whose server
        is unavailable; it is raised where every server is.
        """
        if not commands:
            return []
        places = [self._owners[slot_of(_key(command))] for command in commands]
        ends = asyncio.get_running_loop().time() + timeout_s
        replies = await self._exchange(commands, places, _Limits(ends, silence_s))
        if isinstance(replies[0], StoreUnavailable) and not any(
            node.connected for node in self._nodes.values()
        ):
            raise replies[0]
        return replies

    async def _exchange(
        self,
        commands: Sequence[Command],
        places: list[RedisConnection | None],
        limits: _Limits,
    ) -> list[Any]:
        ends = limits.ends
        replies: list[Any] = [None] * len(commands)
        left: Sequence[int] = range(len(commands))
        asking: frozenset[int] = frozenset()
        for turn in range(_REDIRECTS_MAX):
            sent = self._sent(commands, places, replies, left, asking)
            if sent:
                await self._answered(sent, replies, asking, limits)
            failed = [i for i in left if isinstance(replies[i], Exception)]
            again = [i for i in failed if _says(replies[i]) in _GOES_ON]
            if not again:
                break
            if any(_says(replies[i]) == _TRY_AGAIN for i in again):
                pause_s = turn * _TRY_AGAIN_S
                if asyncio.get_running_loop().time() + 2 * pause_s >= ends:
                    break  # the rest is unavailable; the others have their replies
                await asyncio.sleep(pause_s)
            left, asking = again, await self._redirected(again, replies, places, ends)
        for i, reply in enumerate(replies):
            said = _says(reply) if isinstance(reply, Exception) else ""
            if said in _UNAVAILABLE or said in _GOES_ON:
                where = self.where(commands[i])
                replies[i] = StoreRefused(f"{where} refused: {reply}")
                self._revive()
        return replies

    def _sent(
        self,
        commands: Sequence[Command],
        places: Sequence[RedisConnection | None],
        replies: list[Any],
        left: Sequence[int],
        asking: frozenset[int],
    ) -> list[_Sent]:
        """Send what is left, one write to each server; what fails has its reply."""
        groups: dict[RedisConnection | None, list[int]] = {}
        for i in left:
            groups.setdefault(places[i], []).append(i)
        sent = []
        for node, own in groups.items():
            asked = [commands[i] for i in own]
            if asking:
                asked = [c for i in own for c in _asked(commands[i], i in asking)]
            if node in self._mark_of:
                asked.append((b"GET", self._mark_of[node]))
            try:
                if node is None:
                    raise StoreUnavailable("no server owns the slot")  # noqa: TRY301
                sent.append((own, node, node.send(asked)))
            except StoreUnavailable as error:
                self._revive()
                for i in own:
                    replies[i] = error
        return sent

    async def _answered(
        self,
        sent: list[_Sent],
        replies: list[Any],
        asking: frozenset[int],
        limits: _Limits,
    ) -> None:
        for _, node, future in sent:
            with contextlib.suppress(StoreUnavailable):
                await node.replies(future, limits.ends, limits.silence_s)
        self._leave_silent(sent)
        for own, node, future in sent:
            lost = future.exception()
            if lost is not None:
                self._revive()
                for i in own:
                    replies[i] = StoreUnavailable(str(lost) or "no answer")
                continue
            found = iter(future.result())
            for i in own:
                if asking and i in asking:
                    next(found)  # of ASKING itself
                replies[i] = next(found)
            if next(found, b"") is None:
                raise HistoryLost(
                    f"{node.address} lost its part of the history; nothing is decided "
                    "from what is left: run `scoring rebuild --wipe`"
                )

    def _leave_silent(self, sent: list[_Sent]) -> None:
        """Go on without servers that say nothing at all; others may only be slow."""
        late = [
            (node, why)
            for _, node, future in sent
            if isinstance(why := future.exception(), StoreLate | StoreSilent)
        ]
        for node, _ in late:
            node.drop_if_stalled()
        slow = [why for node, why in late if node.connected]
        if slow:
            raise next((why for why in slow if isinstance(why, StoreSilent)), slow[0])

    async def _redirected(
        self,
        again: Sequence[int],
        replies: Sequence[Any],
        places: list[RedisConnection | None],
        ends: float,
    ) -> frozenset[int]:
        """Find out where to send commands again; returns those to be asked for."""
        asking = set()
        for i in again:
            said, _, rest = str(replies[i]).partition(" ")
            if said == _TRY_AGAIN:
                continue
            slot, _, address = rest.partition(" ")
            node = self._node(_place(address, self._host))
            await self._open(node, ends)
            places[i] = node
            if said == "ASK":
                asking.add(i)
                self._importing.add(node)
            else:
                self._owners[int(slot)] = node
                self._revive()
        return frozenset(asking)

    # Who owns what -----------------------------------------------------------

    def where(self, command: Command) -> str:
        """See `Link`."""
        owner = self._owners[slot_of(_key(command))]
        return owner.address if owner else "no server owns the slot"

    async def primaries(self) -> list[RedisConnection]:
        """A connection to each server that owns slots, or is being given some."""
        owners = [node for node in self._owners if node is not None]
        return list(dict.fromkeys([*owners, *self._importing]))

    def _node(self, place: Place) -> RedisConnection:
        if place not in self._nodes:
            kwargs = {**self._pool.connection_kwargs, "host": place[0]}
            kwargs["port"] = place[1]
            pool = ConnectionPool(self._pool.connection_class, **kwargs)
            self._nodes[place] = RedisConnection(
                Redis(connection_pool=pool), stalled_s=_STALLED_S
            )
        return self._nodes[place]

    async def _open(self, node: RedisConnection, ends: float) -> None:
        """Connect where need be; one that cannot be reached fails when it is asked."""
        if node.connected:
            return
        with contextlib.suppress(OSError, RedisError, TimeoutError):
            async with asyncio.timeout_at(ends):
                await node.connect()

    async def _learn(self) -> None:
        """Ask servers, live ones first, until one tells who owns what."""
        nodes = sorted(self._nodes.values(), key=lambda node: not node.connected)
        why: Exception = StoreUnavailable("no server of the cluster answers")
        for node in [*nodes, *map(self._node, self._seeds)]:
            try:
                (found,) = await node.exchange([_SLOTS_OF], timeout_s=_CONNECT_S)
                if isinstance(found, Exception):
                    raise StoreUnavailable(str(found))  # noqa: TRY301
            except StoreUnavailable as error:
                why = error
                continue
            self._take(found)
            return
        raise why

    def _take(self, found: list[Any]) -> None:
        owners: list[RedisConnection | None] = [None] * SLOTS
        listed: set[Place] = set()
        for first, last, *servers in found:
            # Replicas too: one of them may be all that is left to ask.
            places = [
                ((host or b"").decode() or self._host, port)
                for host, port, *_ in servers
            ]
            primary, *_ = map(self._node, places)
            owners[first : last + 1] = [primary] * (last + 1 - first)
            listed.update(places)
        for place in self._nodes.keys() - listed:
            self._nodes.pop(place).drop("no server of the cluster any more")
        self._owners = owners
        self._importing.clear()
        self._find_marks()

    def _revive(self) -> None:
        """Learn and connect in the background until every slot is served."""
        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.get_running_loop().create_task(self._revived())

    async def _revived(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(StoreUnavailable):
                await self._learn()
            nodes = await self.primaries()
            ends = loop.time() + _CONNECT_S
            await asyncio.gather(*[self._open(node, ends) for node in nodes])
            if None not in self._owners and all(node.connected for node in nodes):
                return
            await asyncio.sleep(_REVIVE_INTERVAL_S)

    async def close(self) -> None:
        """Close every connection; waiting callers get the error."""
        if self._reviving is not None:
            self._reviving.cancel()
            await asyncio.gather(self._reviving, return_exceptions=True)
        for node in self._nodes.values():
            await node.close()


def slot_of(key: bytes) -> int:
    """The slot of a key: of what is in its first braces, else of all of it.

    >>> slot_of(b"live:{card}:e") == slot_of(b"card")
    True
    >>> slot_of(b"123456789")
    12739
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOTS


def _key(command: Command) -> bytes:
    key = command[3] if command[0] in _CALLS else command[1]
    assert isinstance(key, bytes)
    return key


def _says(reply: Any) -> str:
    """The first word of an error reply; nothing for any other."""
    if not isinstance(reply, Exception) or isinstance(reply, StoreUnavailable):
        return ""
    return str(reply).partition(" ")[0]


def _asked(command: Command, asking: bool) -> list[Command]:  # noqa: FBT001
    return [_ASKING, command] if asking else [command]


def _place(address: str, host: str) -> Place:
    """A server by the address in a redirect, whose host may be left out.

    >>> _place("10.0.0.7:6379", "here"), _place(":6380", "here")
    (('10.0.0.7', 6379), ('here', 6380))
    """
    told, _, port = address.rpartition(":")
    return told or host, int(port)
