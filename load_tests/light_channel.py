"""A caller of gRPC that costs its machine half of what `grpc.aio` does.

A generator that shares two cores with the server it looks at is what is measured when
it takes as much as the server. This one writes frames of HTTP/2 by hand: no retries,
no balancing, no compression, no TLS; deadlines travel, and end here too. A connection
that the server closes, or asks to leave, is replaced at the next call.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, cast

from load_tests import light_frames as http2

Reply = tuple[str, bytes]  # the name of the status, the message
_REPLENISHED_AT = 2**29
_FINE, _GONE, _LATE = "OK", "UNAVAILABLE", "DEADLINE_EXCEEDED"


@dataclass(slots=True)
class _Call:
    """A call that waits for its end; `heard` takes each whole message.

    Its one message is `raw`; None for a call of many.
    """

    path: str
    raw: bytes | None
    timeout_ms: int
    ended: asyncio.Future[str]
    heard: Callable[[bytes], None]
    stream: int = 0  # its number, once it has begun
    room: int = 0  # bytes that the server has window for
    buffer: bytearray = field(default_factory=bytearray)
    unsent: deque[tuple[int, bytes]] = field(default_factory=deque)

    def take(self, payload: bytes) -> None:
        """Read what came of the messages."""
        self.buffer += payload
        while len(self.buffer) >= http2.MESSAGE_HEAD_BYTES:
            ends = (
                http2.MESSAGE_HEAD_BYTES + struct.unpack_from(">I", self.buffer, 1)[0]
            )
            if len(self.buffer) < ends:
                return
            self.heard(bytes(self.buffer[http2.MESSAGE_HEAD_BYTES : ends]))
            del self.buffer[:ends]


class _Connection(asyncio.Protocol):
    """One connection; `open` until it is lost or the server asks to leave."""

    def __init__(self, authority: str) -> None:
        self.open = True
        self.calls: dict[int, _Call] = {}
        self._authority = authority
        # The server's limits come first of all: then calls may begin.
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._statuses = http2.Statuses()
        self._buffer = bytearray()
        self._next, self._most = 1, 2**31 - 1
        self._room, self._stream_room = http2.WINDOW_AT_FIRST, http2.WINDOW_AT_FIRST
        self._received = 0
        self._waiting: deque[_Call] = deque()
        self._transport: asyncio.Transport

    # Calling -----------------------------------------------------------------

    def begin(self, call: _Call) -> None:
        """Open a call; where the server allows no more at a time, it waits."""
        if not self.open:
            _settle(call, _GONE)
            return
        if len(self.calls) >= self._most:
            self._waiting.append(call)
            return
        stream, self._next = self._next, self._next + 2
        self.calls[stream] = call
        call.stream, call.room = stream, self._stream_room
        block = http2.headers_of(call.path, self._authority, call.timeout_ms)
        self._transport.write(
            http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block)
        )
        if call.raw is not None:
            self.send(stream, http2.message(call.raw), http2.END_STREAM)

    def send(self, stream: int, payload: bytes, flags: int = 0) -> None:
        """Send DATA, as far as the windows allow; the rest follows.

        Nothing, where the server has ended the call.
        """
        if stream not in self.calls:
            return
        most = http2.FRAME_MAX
        unsent = self.calls[stream].unsent
        while len(payload) > most:
            unsent.append((0, payload[:most]))
            payload = payload[most:]
        unsent.append((flags, payload))
        self._flush(stream)

    def _flush(self, stream: int) -> None:
        call = self.calls[stream]
        while call.unsent:
            flags, payload = call.unsent[0]
            if len(payload) > min(self._room, call.room):
                return
            call.unsent.popleft()
            self._room -= len(payload)
            call.room -= len(payload)
            self._transport.write(http2.frame(http2.DATA, flags, stream, payload))

    def _flush_all(self) -> None:
        for stream in [own for own, call in self.calls.items() if call.unsent]:
            self._flush(stream)

    def cancel(self, call: _Call, status: str) -> None:
        """End a call from this side."""
        if self.calls.get(call.stream) is call:
            reset = struct.pack(">I", http2.CANCEL)
            self._transport.write(http2.frame(http2.RST_STREAM, 0, call.stream, reset))
            self._end(call.stream, status)
        _settle(call, status)  # it never began

    def close(self) -> None:
        """Hang up."""
        self.open = False
        self._transport.close()

    # Hearing -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(http2.hello())

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.open = False
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError("hung up at once"))
        for stream in list(self.calls):
            self._end(stream, _GONE)
        for call in self._waiting:
            _settle(call, _GONE)
        del exc

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._buffer += data
        at, held = 0, self._buffer
        while len(held) - at >= http2.HEAD_BYTES:
            high, low, kind, flags, stream = struct.unpack_from(">BHBBI", held, at)
            ends = at + http2.HEAD_BYTES + (high << 16 | low)
            if len(held) < ends:
                break
            self._hear(kind, flags, stream, bytes(held[at + http2.HEAD_BYTES : ends]))
            at = ends
        del held[:at]

    def _hear(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == http2.DATA:
            self._count(len(payload))
            if stream in self.calls:
                self.calls[stream].take(payload)
        elif kind == http2.HEADERS and stream in self.calls:
            status = self._statuses.of(payload)
            if flags & http2.END_STREAM:
                self._end(stream, status or "INTERNAL")
        elif kind == http2.RST_STREAM and stream in self.calls:
            if int.from_bytes(payload, "big") == http2.REFUSED_STREAM:
                self._again(self.calls.pop(stream))
            else:
                self._end(stream, "CANCELLED")
        elif kind == http2.GOAWAY:
            self.open = False
            last = int.from_bytes(payload[:4], "big")
            for unseen in [own for own in self.calls if own > last]:
                self._end(unseen, _GONE)
        else:
            self._keep_house(kind, flags, stream, payload)

    def _keep_house(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == http2.SETTINGS and not flags & http2.ACK:
            most, window = http2.settings_of(payload)
            self._most = most or self._most
            if window is not None:
                for call in self.calls.values():
                    call.room += window - self._stream_room
                self._stream_room = window
            self._transport.write(http2.frame(http2.SETTINGS, http2.ACK, 0))
            if not self.ready.done():
                self.ready.set_result(None)
            self._flush_all()
            self._go_on()
        elif kind == http2.PING and not flags & http2.ACK:
            self._transport.write(http2.frame(http2.PING, http2.ACK, 0, payload))
        elif kind == http2.WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self._room += more
            elif stream in self.calls:
                self.calls[stream].room += more
            self._flush_all()

    def _count(self, received: int) -> None:
        self._received += received
        if self._received >= _REPLENISHED_AT:
            self._transport.write(http2.more_room(self._received))
            self._received = 0

    def _end(self, stream: int, status: str) -> None:
        _settle(self.calls.pop(stream), status)
        self._go_on()

    def _again(self, call: _Call) -> None:
        """Begin a call anew that the server has not looked at: it was full."""
        if call.raw is None:  # what was written to it is gone
            _settle(call, _GONE)
            return
        call.unsent.clear()
        self._waiting.appendleft(call)
        if not self.calls:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        while self._waiting and len(self.calls) < self._most and self.open:
            call = self._waiting.popleft()
            if not call.ended.done():
                self.begin(call)


def _settle(call: _Call, status: str) -> None:
    if not call.ended.done():
        call.ended.set_result(status)


@dataclass(slots=True)
class LightChannel:
    """One connection to a server at `host:port`, replaced where it is lost."""

    address: str
    _connection: _Connection | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def unary(self, path: str, raw: bytes, timeout_s: float) -> Reply:
        """One call; the status's name and the reply, empty where there is none."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        try:
            connection = await self._connected(timeout_s)
        except TimeoutError:
            return _LATE, b""
        except OSError:
            return _GONE, b""
        heard: list[bytes] = []
        timeout_ms = max(round((ends_at - loop.time()) * 1e3), 1)
        call = _Call(path, raw, timeout_ms, loop.create_future(), heard.append)
        connection.begin(call)
        timer = loop.call_at(ends_at, connection.cancel, call, _LATE)
        try:
            status = await call.ended
        finally:
            timer.cancel()
            if not call.ended.done() or call.ended.cancelled():
                connection.cancel(call, "CANCELLED")
        return status, heard[0] if heard else b""

    async def stream(self, path: str, heard: Callable[[bytes], None]) -> LightStream:
        """Open a call of many messages; `heard` takes each that comes.

        The server has to allow it at once: a stream does not wait for its turn.
        """
        connection = await self._connected(None)
        call = _Call(path, None, 0, asyncio.get_running_loop().create_future(), heard)
        connection.begin(call)
        return LightStream(connection, call)

    async def _connected(self, timeout_s: float | None) -> _Connection:
        if self._connection is not None and self._connection.open:
            return self._connection
        async with asyncio.timeout(timeout_s), self._connecting:
            if self._connection is None or not self._connection.open:
                host, port = self.address.rsplit(":", 1)
                loop = asyncio.get_running_loop()
                _, made = await loop.create_connection(
                    lambda: _Connection(self.address), host, int(port)
                )
                await made.ready
                self._connection = made
        return self._connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()


@dataclass(slots=True)
class LightStream:
    """A call of many messages in both directions."""

    _connection: _Connection
    _call: _Call

    def write(self, raw: bytes) -> None:
        """Send one message; what the windows do not allow yet waits here."""
        self._connection.send(self._call.stream, http2.message(raw))

    def done_writing(self) -> None:
        """There are no more."""
        self._connection.send(self._call.stream, b"", http2.END_STREAM)

    async def ended(self) -> str:
        """The status's name, once the server has said it."""
        return await self._call.ended
