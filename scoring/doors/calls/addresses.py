"""Addresses that doors listen at: checked, and shared by several processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from scoring.errors import CannotListen

_PORT_MAX = 65_535


def checked(address: str) -> str:
    """The address, where it names a port that there is; raises `CannotListen`.

    C-core takes 99999 for 34463, and no port for 443.

    >>> checked("127.0.0.1:50051"), checked("unix:/run/scoring")
    ('127.0.0.1:50051', 'unix:/run/scoring')
    """
    if not address.startswith(("unix:", "unix-abstract:", "vsock:")):
        _host_and_port(address)
    return address


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    is_number = port.isascii() and port.isdecimal()
    if not (colon and is_number and int(port) <= _PORT_MAX):
        raise CannotListen(
            f"{address}: write host:port, with a port from 0 (any) to {_PORT_MAX}"
        )
    return host, int(port)


@contextmanager
def reserved(address: str) -> Iterator[str]:
    """Reserve a port that several processes will share; yields the actual address.

    The socket is bound and never listens, so it gets no connection: it only keeps
    the port ours. Raises `CannotListen`.
    """
    with bound_socket(address, shares_port=True) as holder:
        host = address.rpartition(":")[0]
        yield f"{host}:{holder.getsockname()[1]}"


def bound_socket(address: str, *, shares_port: bool) -> socket.socket:
    """A socket of ours at host:port that does not listen yet; raises `CannotListen`."""
    host, port = _host_and_port(address)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    bound = socket.socket(family)
    try:
        option = socket.SO_REUSEPORT if shares_port else socket.SO_REUSEADDR
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        why = error.strerror or error
        raise CannotListen(f"{address}: cannot bind: {why}") from error
    return bound
