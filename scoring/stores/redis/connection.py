"""A pipelined connection: many commands in one write, replies strictly in order.

redis-py connects (TLS, AUTH, SELECT, unix sockets); its pipeline layer costs 15-19
microseconds a command, so on the hot path commands are packed and replies parsed by
hiredis directly over the connection's own streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

import hiredis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from scoring.errors import StoreLate, StoreUnavailable

Command = tuple[bytes | str | int, ...]
# How early a timer may fire, and how late one is that a busy loop held up, seconds.
_EARLY_S = _BUSY_S = 0.002
# Turns of the loop in which what has come is read, parsed and handed on.
_READING_TURNS = 3
_READ_BYTES = 1 << 18
# A server works off what it read at once (some 16 kB, a few dozen calls) before it
# answers any of it: so much longer may it be silent for each, up to so many.
_WORK_S, _WORK_COUNT_MAX = 0.0005, 128
_OWED_MAX = 100_000  # replies outstanding; beyond it the store is not keeping up


@dataclass(slots=True)
class _Owed:
    """Replies that one exchange still waits for."""

    missing: int
    done: asyncio.Future[list[Any]]
    replies: list[Any] = field(default_factory=list)


class StoreSilent(StoreUnavailable):
    """A server that owes replies said nothing for as long as it may."""

    reason = "silent"


class Link(Protocol):
    """The way to a store: one server, or a cluster of them."""

    async def exchange(
        self, commands: Sequence[Command], *, timeout_s: float, silence_s: float = inf
    ) -> list[Any]:
        """Send all commands at once and return their replies in order.

        An error reply is returned as an exception in its place. Raises `StoreLate`
        when the replies do not all come within `timeout_s`, and `StoreUnavailable`
        when the server is lost or says nothing at all for `silence_s`. The commands
        may then have run.
        """
        ...

    def where(self, command: Command) -> str:
        """The server that a command is sent to, host:port."""
        ...

    async def connect(self) -> None:
        """Open it; raises what redis-py raises, or `StoreUnavailable`."""
        ...

    async def primaries(self) -> list[RedisConnection]:
        """A connection to each server that takes writes."""
        ...

    async def close(self) -> None:
        """Close every connection; waiting callers get the error."""
        ...


class RedisConnection:
    """One connection, shared by all callers of one event loop.

    A caller that times out or is cancelled leaves its place in the queue, so that
    its replies, when they come, are dropped and no other caller receives them.
    """

    def __init__(self, client: Redis, *, stalled_s: float = 5.0) -> None:
        pool: Any = client.connection_pool  # carries no types
        self._make: Callable[[], Any] = pool.make_connection
        self._address: Callable[[Any], str] = lambda own: _address(pool, own)
        self._stalled_s = stalled_s
        self._connection: Any = None
        self._owed: deque[_Owed] = deque()
        self._owed_count = 0
        self._reader: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._heard_at = 0.0
        self._missed_until = 0.0
        self._owed_then = 0  # replies owed when it was heard of

    async def exchange(
        self, commands: Sequence[Command], *, timeout_s: float, silence_s: float = inf
    ) -> list[Any]:
        """See `Link`."""
        if not commands:
            return []
        now = asyncio.get_running_loop().time()
        ends = now + timeout_s
        try:
            if self._connection is None:
                async with asyncio.timeout_at(now + min(timeout_s, silence_s)):
                    await self.connect()
            return await self.replies(self.send(commands), ends, silence_s)
        except TimeoutError as error:
            raise StoreUnavailable(f"{self.address}: cannot be reached") from error
        except (StoreLate, StoreSilent):
            self.drop_if_stalled()
            raise
        except (OSError, RedisError) as error:
            raise StoreUnavailable(f"{self.address}: {error}") from error

    async def replies(
        self, sent: asyncio.Future[list[Any]], ends: float, silence_s: float
    ) -> list[Any]:
        """The replies to what was sent; raises `StoreLate`, `StoreSilent`."""
        wait = _Wait(self, sent, ends, silence_s)
        wait.begin()
        try:
            return await sent
        finally:
            wait.end()

    def silent_at(self, silence_s: float) -> float:
        """When it will have been silent for too long, on the loop's clock."""
        work_s = min(self._owed_then, _WORK_COUNT_MAX) * _WORK_S
        return self._heard_at + silence_s + work_s

    def missed(self, since: float, now: float) -> None:
        """Nobody listened meanwhile: that is no silence of the server's."""
        missed_s = now - max(since, self._missed_until, self._heard_at)
        if missed_s > _BUSY_S:
            self._heard_at, self._missed_until = self._heard_at + missed_s, now

    @property
    def address(self) -> str:
        """The server, host:port or path; never a password."""
        return self._address(self._connection)

    def where(self, command: Command) -> str:
        """See `Link`."""
        del command
        return self.address

    @property
    def connected(self) -> bool:
        """Whether commands can be sent."""
        return self._connection is not None

    def send(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send all commands at once; the future holds their replies in order.

        Raises `StoreUnavailable` where the connection is not open.
        """
        packed, count = b"".join(map(hiredis.pack_command, commands)), len(commands)
        connection = self._connection
        if connection is not None and _is_closing(connection):
            # The peer has closed, and the reader has not been told yet.
            self._lose(connection, "connection lost")
            connection = None
        if connection is None:
            raise StoreUnavailable("connection lost")
        if self._owed_count + count > _OWED_MAX:
            raise StoreUnavailable(f"more than {_OWED_MAX} replies outstanding")
        loop = asyncio.get_running_loop()
        if not self._owed:
            self._heard_at, self._owed_then = loop.time(), count
        owed = _Owed(count, loop.create_future())
        self._owed.append(owed)
        self._owed_count += count
        writer = connection._writer  # noqa: SLF001 - held by a test
        assert writer is not None
        writer.write(packed)
        return owed.done

    async def connect(self) -> None:
        """Open the connection unless it is open."""
        async with self._connecting:
            if self._connection is not None:
                return
            connection = self._make()
            await connection.connect()
            self._connection = connection
            self._reader = asyncio.create_task(self._read(connection))

    async def _read(self, connection: Any) -> None:
        parser = hiredis.Reader(notEnoughData=_NOT_YET)
        stream = connection._reader  # noqa: SLF001 - held by a test
        assert stream is not None
        loop = asyncio.get_running_loop()
        reason = "connection closed by the server"
        try:
            while received := await stream.read(_READ_BYTES):
                if self._connection is not connection:
                    # Given up: who waited was told, and others wait on the next one.
                    return
                self._heard_at = loop.time()
                parser.feed(received)
                while (reply := parser.gets()) is not _NOT_YET:
                    self._settle(reply)
                self._owed_then = self._owed_count
        except (OSError, hiredis.ProtocolError) as error:
            reason = f"connection failed: {error}"
        finally:
            self._lose(connection, reason)

    def _settle(self, reply: Any) -> None:
        if not self._owed:
            raise hiredis.ProtocolError("a reply that nobody asked for")
        owed = self._owed[0]
        owed.replies.append(reply)
        owed.missing -= 1
        self._owed_count -= 1
        if owed.missing == 0:
            self._owed.popleft()
            if not owed.done.done():
                owed.done.set_result(owed.replies)

    def _lose(self, connection: Any, reason: str) -> None:
        """Give up the connection; everyone who waits on it gets the error."""
        if self._connection is not connection:
            return
        self._connection = None
        waiting, self._owed = self._owed, deque()
        self._owed_count = 0
        for owed in waiting:
            if not owed.done.done():
                owed.done.set_exception(StoreUnavailable(reason))
                owed.done.exception()  # it may have no one left to read it
        writer = connection._writer  # noqa: SLF001 - held by a test
        if writer is not None:
            writer.close()
            connection._writer = None  # noqa: SLF001 - closed, so that it says no more

    def drop_if_stalled(self) -> None:
        """Give up a connection that owes replies and was not heard of for long."""
        # The peer may be gone without a word (no RST).
        if self._connection is None or not self._owed:
            return
        if asyncio.get_running_loop().time() - self._heard_at > self._stalled_s:
            reader, connection = self._reader, self._connection
            self._lose(connection, "no answer; reconnecting")
            if reader is not None:
                reader.cancel()

    def drop(self, reason: str) -> None:
        """Give up the connection; the next to ask opens another."""
        if self._connection is not None:
            self._lose(self._connection, reason)

    async def primaries(self) -> list[RedisConnection]:
        """This one: all there is."""
        return [self]

    async def close(self) -> None:
        """Close the connection; waiting callers get the error."""
        if self._connection is not None:
            self._lose(self._connection, "closed")
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)


@dataclass(slots=True)
class _Wait:
    """Ends an exchange that is out of time, or whose server is silent.

    Loops tell timers before they read: what has come is read before the store is
    blamed. And while a loop was busy it has not listened: that does not count.
    """

    connection: RedisConnection
    sent: asyncio.Future[list[Any]]
    ends: float
    silence_s: float
    _timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        loop = self.sent.get_loop()
        at = min(self.ends, self.connection.silent_at(self.silence_s))
        at = max(at, loop.time())
        self._timer = loop.call_at(at, self._due, at)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _due(self, at: float) -> None:
        self.connection.missed(at, self.sent.get_loop().time())
        self._judge(_READING_TURNS)

    def _judge(self, turns: int) -> None:
        if self.sent.done():
            return
        loop, where = self.sent.get_loop(), self.connection.address
        now = loop.time() + _EARLY_S
        if turns:
            loop.call_soon(self._judge, turns - 1)
        elif now >= self.ends:
            self.sent.set_exception(StoreLate(f"{where}: no answer in time"))
        elif now >= self.connection.silent_at(self.silence_s):
            silent = f"{where}: no word for {self.silence_s:g} s"
            self.sent.set_exception(StoreSilent(silent))
        else:
            self.begin()


_NOT_YET = object()


def _is_closing(connection: Any) -> bool:
    writer = connection._writer  # noqa: SLF001 - held by a test
    return writer is None or bool(writer.transport.is_closing())


def _address(pool: Any, connection: Any) -> str:
    """Where a connection leads; what the pool would connect to where there is none."""
    told = {**pool.connection_kwargs, **vars(connection or object)}
    path, host, port = (told.get(name) for name in ("path", "host", "port"))
    return str(path) if path else f"{host or 'no server'}:{port or '?'}"
