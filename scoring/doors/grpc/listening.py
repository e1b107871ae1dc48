"""The port of the gRPC door, which takes no more connections before it stops."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# gRPC's own jitter of a connection's age, and a round trip to say goodbye.
_AGE_JITTER_MAX, _FAREWELL_S = 1.1, 1.0
_OPEN_FILES = Path("/dev/fd")
_INTERNET = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class Port:
    """The sockets of this process on one port, which gRPC opened and keeps to itself.

    C-core can stop listening only by a shutdown that also cancels the calls that
    arrive while it tells the callers.
    """

    number: int

    @classmethod
    def at(cls, address: str) -> Port:
        """That of host:port; a unix socket has none, and so no sockets here.

        >>> Port.at("127.0.0.1:50051"), Port.at("unix:/run/scoring")
        (Port(number=50051), Port(number=0))
        """
        port = address.rpartition(":")[2]
        return cls(int(port) if port.isdecimal() else 0)

    def close(self) -> None:
        """Take no more connections; the ones there are stay."""
        for each in self._sockets():
            if _listens(each):
                each.shutdown(socket.SHUT_RD)

    @property
    def connected(self) -> bool:
        """Whether a connection is left; asked on the loop that still serves."""
        return any(_is_connected(each) for each in self._sockets())

    def _sockets(self) -> Iterator[socket.socket]:
        for entry in _OPEN_FILES.iterdir():
            if not entry.is_socket():
                continue
            try:
                copied = socket.socket(fileno=os.dup(int(entry.name)))
            except OSError:  # closed meanwhile
                continue
            with copied:
                if (
                    copied.family in _INTERNET
                    and copied.getsockname()[1] == self.number
                ):
                    yield copied


def _listens(each: socket.socket) -> bool:
    return bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _is_connected(each: socket.socket) -> bool:
    try:
        each.getpeername()
    except OSError:
        return False
    return True


def leaving_s(connection_age_s: float) -> float:
    """How long a drain may wait for connections to leave at their age, seconds.

    >>> leaving_s(0.0), leaving_s(10.0)
    (0.0, 12.0)
    """
    if not connection_age_s:
        return 0.0
    return connection_age_s * _AGE_JITTER_MAX + _FAREWELL_S
