"""What HTTP/2 asks of a caller of gRPC: frames as bytes, and what they say back."""

from __future__ import annotations

import struct
from functools import cache

import grpc
import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
HEAD_BYTES = 9
MESSAGE_HEAD_BYTES = 5
WINDOW_AT_FIRST = 65_535
WINDOW_MAX = 2**31 - 1
FRAME_MAX = 16_384  # of a payload, unless a server allows more
CANCEL, REFUSED_STREAM = 8, 7
_TABLE_SIZE, _PUSH, _MAX_STREAMS, _WINDOW = 1, 2, 3, 4
_BLOCKS_MAX = 4_096
_NAMES = {str(code.value[0]).encode(): code.name for code in grpc.StatusCode}


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame.

    >>> frame(PING, ACK, 0, b"12345678").hex()
    '0000080601000000003132333435363738'
    """
    return struct.pack(">BHBBI", 0, len(payload), kind, flags, stream) + payload


def hello() -> bytes:
    """What a caller begins with: windows as wide as they go, no header tables.

    Without a table every block of headers stands for itself, and is read once.
    """
    wishes = ((_TABLE_SIZE, 0), (_PUSH, 0), (_WINDOW, WINDOW_MAX))
    told = b"".join(struct.pack(">HI", *wish) for wish in wishes)
    return (
        PREFACE + frame(SETTINGS, 0, 0, told) + more_room(WINDOW_MAX - WINDOW_AT_FIRST)
    )


def more_room(count: int) -> bytes:
    """Let the server send so many bytes more on the connection."""
    return frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", count))


def settings_of(payload: bytes) -> tuple[int | None, int | None]:
    """(most streams at a time, window of a stream), None where they stay.

    >>> settings_of(bytes.fromhex("000300000064"))
    (100, None)
    """
    told = dict(struct.iter_unpack(">HI", payload))
    return told.get(_MAX_STREAMS), told.get(_WINDOW)


def message(raw: bytes) -> bytes:
    """A message as gRPC puts it into DATA frames."""
    return struct.pack(">BI", 0, len(raw)) + raw


@cache
def headers_of(path: str, authority: str, timeout_ms: int) -> bytes:
    """The block that opens a call; its deadline in milliseconds, 0 for none."""
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    if timeout_ms:
        headers.append(("grpc-timeout", f"{timeout_ms}m"))
    plain = hpack.Encoder()
    plain.header_table_size = 0
    return bytes(plain.encode(headers, huffman=False))


class Statuses:
    """Reads the status of blocks of headers; the same block comes again and again."""

    def __init__(self) -> None:
        self._known: dict[bytes, str | None] = {}

    def of(self, block: bytes) -> str | None:
        """The name of the gRPC status; None where the block has none."""
        if block not in self._known:
            if len(self._known) >= _BLOCKS_MAX:
                self._known.clear()
            self._known[block] = _read(block)
        return self._known[block]


def _read(block: bytes) -> str | None:
    told = dict(hpack.Decoder().decode(block, raw=True))
    status = told.get(b"grpc-status")
    if status is not None:
        return _NAMES.get(bytes(status), "UNKNOWN")
    return None if told.get(b":status") == b"200" else "UNAVAILABLE"
