"""One port for several server processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from scoring.errors import CannotListen


@contextmanager
def reserved(address: str) -> Iterator[str]:
    """Reserve a port that several processes will share; yields the actual address.

    The socket is bound and never listens, so it gets no connection: it only keeps
    the port ours. Raises `CannotListen`.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            holder.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise CannotListen(f"{address}: cannot bind: {error.strerror}") from error
        yield f"{host}:{holder.getsockname()[1]}"
