"""Who goes first where generator and server share their cores.

A generator of another machine never waits for the server that it loads. On the same
machine it does: it sends late, reads late, and takes its own lateness for the server's.
So it goes first where it may (a superuser, or CAP_SYS_NICE); the server pays for that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_FIRST, _ORDINARY = -10, 0


@contextmanager
def going_first() -> Iterator[None]:
    """Raise the priority of the running thread for a while, where that is allowed."""
    me = threading.get_native_id()  # on Linux a priority is a thread's own
    before = os.getpriority(os.PRIO_PROCESS, me)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, me, _FIRST)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, me, before)


def ordinarily(work: Callable[[], None]) -> None:
    """Give the running thread an ordinary priority, and what it then starts.

    It keeps it, and has to live on: a child may be made to end with its thread.
    """
    me = threading.get_native_id()
    if os.getpriority(os.PRIO_PROCESS, me) < _ORDINARY:
        os.setpriority(os.PRIO_PROCESS, me, _ORDINARY)
    work()
