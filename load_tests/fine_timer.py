"""Waits for an instant to a tenth of a millisecond, without spinning.

The timers of an event loop are good to a millisecond. A generator that polled for the
rest would take a whole core, from the very server that it looks at. The kernel's own
timers are finer, and one of them is a file that a loop can wait for.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from types import TracebackType
from typing import Self

_MONOTONIC = 1  # CLOCK_MONOTONIC, what time.perf_counter and time.monotonic read
_CLOSE_ON_EXEC, _NONBLOCKING = os.O_CLOEXEC, os.O_NONBLOCK
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_NS_PER_S = 1_000_000_000
_EXPIRATIONS_BYTES = 8

_libc = ctypes.CDLL(None, use_errno=True)


class _Instant(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Instant), ("at", _Instant))


class FineTimer:
    """One timer of the kernel (timerfd) on the running loop; one waits at a time."""

    def __init__(self) -> None:
        self._file = _libc.timerfd_create(_MONOTONIC, _CLOSE_ON_EXEC | _NONBLOCKING)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._fired = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._file, self._fire)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    def _fire(self) -> None:
        os.read(self._file, _EXPIRATIONS_BYTES)
        self._fired.set()

    async def until(self, instant_s: float) -> None:
        """Return at an instant of `time.perf_counter`, or at once when it is past."""
        if instant_s <= time.perf_counter():
            return
        s, ns = divmod(round(instant_s * _NS_PER_S), _NS_PER_S)
        self._fired.clear()
        setting = _Setting(at=_Instant(s, ns))
        if _libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(setting), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        await self._fired.wait()
