"""Lines written by a thread: who says something never waits for who reads it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from select import PIPE_BUF

_log = logging.getLogger(__name__)
# Some ten thousand lines: minutes of a bad day. They are what a stalled reader costs.
BYTES_MAX = 4 * 1024 * 1024
# What a pipe takes as a whole: workers share one, and no line may land in another.
_AT_ONCE_BYTES = PIPE_BUF
# At the end of the process; a reader that is stalled must not hold up a drain.
FLUSH_S = 2.0
_LOOKS_S = 0.005


class LineWriter:
    """Writes lines in order, from a queue of at most `bytes_max`; drops what is beyond.

    `write` and `flush` are those that a `logging.StreamHandler` calls. What was dropped
    is said as soon as lines flow again; what a closed pipe or a full disk did not take
    is counted as dropped too.
    """

    def __init__(self, descriptor: int, bytes_max: int = BYTES_MAX) -> None:
        self._descriptor, self._bytes_max = descriptor, bytes_max
        self._lines: deque[bytes] = deque()
        self._bytes = 0  # queued, and being written
        self._unsaid_count = 0
        self._changed = threading.Condition()
        self.dropped_count = 0
        # A daemon: a write to a pipe that nobody reads never returns.
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def write(self, line: str) -> None:
        """Queue a line, or drop it; never blocks."""
        encoded = line.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._bytes + len(encoded) > self._bytes_max:
                self.dropped_count += 1
                self._unsaid_count += 1
                return
            self._bytes += len(encoded)
            self._lines.append(encoded)
            self._changed.notify()

    def flush(self) -> None:
        """The thread does it; see `drained`."""

    def drained(self, within_s: float = FLUSH_S) -> bool:
        """Wait until all is written; False where it is not within the time."""
        ends = time.monotonic() + within_s
        while self._bytes:
            if time.monotonic() > ends:
                return False
            time.sleep(_LOOKS_S)
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                taken = self._take()
            written = _write_all(self._descriptor, taken)
            with self._changed:
                self.dropped_count += taken.count(b"\n", written)
                self._bytes -= len(taken)
                unsaid, self._unsaid_count = self._unsaid_count, 0
            if unsaid:
                _log.warning(
                    "%d log lines were dropped: standard error was not read in time",
                    unsaid,
                    extra={"cause": "stderr-stalled", "count": unsaid},
                )

    def _take(self) -> bytes:
        taken = self._lines.popleft()
        while self._lines and len(taken) + len(self._lines[0]) <= _AT_ONCE_BYTES:
            taken += self._lines.popleft()
        return taken


def _write_all(descriptor: int, whole: bytes) -> int:
    """Write to the last byte, or as far as it goes; how many bytes were written."""
    left = memoryview(whole)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # made so by whoever shares it with us
            time.sleep(_LOOKS_S)
        except OSError:  # closed at the other end, or its disk is full
            break
    return len(whole) - len(left)
