"""Raw HTTP/2 for the fuzzers: frames as bytes, and what the server said to them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
READ_BYTES = 65_536


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """One header, neither indexed nor compressed; up to 16 kB each."""
    return b"\x00" + _length(name) + name + _length(value) + value


def _length(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)])
    rest, coded = len(text) - 127, [127]
    while rest >= 128:
        coded.append(rest % 128 + 128)
        rest //= 128
    return bytes([*coded, rest])


def call(
    path: bytes, extra: Sequence[tuple[bytes, bytes]] = (), stream: int = 1
) -> bytes:
    """The HEADERS frame that opens a gRPC call; `extra` comes last and so wins."""
    known = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path,
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    } | dict(extra)
    block = b"".join(literal(name, value) for name, value in known.items())
    return frame(HEADERS, END_HEADERS, stream, block)


def message(raw: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """gRPC's frame of one message; flag and length may lie."""
    return struct.pack(">BI", compressed, len(raw) if length is None else length) + raw


@dataclass(slots=True)
class Heard:
    """What the server said on one connection."""

    status: dict[int, int] = field(default_factory=dict)  # grpc-status by stream
    words: dict[int, str] = field(default_factory=dict)  # grpc-message
    http: dict[int, int] = field(default_factory=dict)
    reset: set[int] = field(default_factory=set)
    settings: dict[int, int] = field(default_factory=dict)
    goaway: bool = False
    closed: bool = False

    @property
    def answered(self) -> bool:
        """Whether stream 1 has its answer, or is known to get none."""
        known = 1 in self.status or 1 in self.reset or self.http.get(1, 200) != 200
        return known or self.goaway or self.closed


def talk(
    address: tuple[str, int], raw: bytes, *, hangs_up: bool, patience_s: float = 20.0
) -> Heard:
    """Send bytes on a fresh connection and listen.

    Who hangs up says no more and listens until the server does so, too; else until
    stream 1 has its answer. Raises `TimeoutError` where neither comes.
    """
    heard, decoder = Heard(), hpack.Decoder()
    with socket.create_connection(address, timeout=patience_s) as connection:
        try:
            connection.sendall(raw)
            if hangs_up:
                connection.shutdown(socket.SHUT_WR)
            _listen(connection, heard, decoder, to_the_end=hangs_up)
        except (ConnectionResetError, BrokenPipeError):
            heard.closed = True
    return heard


def _listen(
    connection: socket.socket, heard: Heard, decoder: hpack.Decoder, *, to_the_end: bool
) -> None:
    buffer = b""
    while not heard.closed and (to_the_end or not heard.answered):
        got = connection.recv(READ_BYTES)
        heard.closed = not got
        buffer += got
        while len(buffer) >= 9 and len(buffer) >= 9 + (size := _size(buffer)):
            kind, stream = _head(buffer)
            _note(heard, decoder, kind, stream, buffer[9 : 9 + size])
            buffer = buffer[9 + size :]


def _size(buffer: bytes) -> int:
    return int.from_bytes(buffer[:3])


def _head(buffer: bytes) -> tuple[int, int]:
    return buffer[3], int.from_bytes(buffer[5:9]) & 0x7FFF_FFFF


def _note(
    heard: Heard, decoder: hpack.Decoder, kind: int, stream: int, payload: bytes
) -> None:
    if kind == HEADERS:
        # As bytes: gRPC repeats the text of a caller's GOAWAY, whatever it is.
        for name, value in decoder.decode(payload, raw=True):
            if name == b"grpc-status":
                heard.status[stream] = int(value)
            elif name == b"grpc-message":
                heard.words[stream] = bytes(value).decode(errors="replace")
            elif name == b":status":
                heard.http[stream] = int(value)
    elif kind == SETTINGS:
        heard.settings |= dict(struct.iter_unpack(">HI", payload))
    elif kind == RST_STREAM:
        heard.reset.add(stream)
    elif kind == GOAWAY:
        heard.goaway = True
