"""Who goes first where generator and server share their cores.

A generator of another machine never waits for the server that it loads. On the same
machine it does: it sends late, reads late, and takes its own lateness for the server's.
So it goes first where it may (a superuser, or CAP_SYS_NICE); the server pays for that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_FIRST, _ORDINARY = -10, 0
_ME = 0  # on Linux the running thread: each has a priority of its own


@contextmanager
def going_first() -> Iterator[None]:
    """Raise the priority of the running thread for a while, where that is allowed."""
    before = os.getpriority(os.PRIO_PROCESS, _ME)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, _ME, _FIRST)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, _ME, before)


def ordinarily(work: Callable[[], None]) -> None:
    """Give the running thread an ordinary priority, and what it then starts.

    It keeps it, and has to live on: a child may be made to end with its thread.
    """
    if os.getpriority(os.PRIO_PROCESS, _ME) < _ORDINARY:
        os.setpriority(os.PRIO_PROCESS, _ME, _ORDINARY)
    work()
