"""`scoring serve` as a process of its own, for the tests that stop and kill it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_READY = "serving grpc on "
_HTTP_READY = "serving http on "
_READY_S_MAX = 90.0
_WAITED_S_MAX = 60.0


@dataclass(slots=True)
class Served:
    """A running server; `lines` is what it has printed so far."""

    process: subprocess.Popen[str]
    address: str = ""
    http_address: str = ""
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _ready: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(_HTTP_READY):
                self.http_address = line.removeprefix(_HTTP_READY).strip()
            if line.startswith(_READY):
                self.address = line.removeprefix(_READY).strip()
                self._ready.set()
        self._ready.set()

    def read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line.rstrip())

    def wait_until_ready(self) -> None:
        self._ready.wait(_READY_S_MAX)
        assert self.address, f"it never answered: {self.lines} {self.errors}"

    def until(self, known: Callable[[], bool]) -> None:
        """Wait until something is so while it serves."""
        ends = time.monotonic() + _WAITED_S_MAX
        while not known():
            assert time.monotonic() < ends, self.errors
            time.sleep(0.1)

    def stop(self) -> int:
        """SIGTERM, then wait; the exit status."""
        self.process.terminate()
        return self.process.wait(60)


def start(
    *options: str, launcher: Sequence[str] = ("-m", "scoring"), **settings: object
) -> Served:
    """Start a server with SCORING_ settings; it may not be ready yet."""
    known = {"SCORING_GRPC_ADDRESS": "127.0.0.1:0", "SCORING_DRAIN_NOTICE_S": "0"}
    known |= {f"SCORING_{name.upper()}": str(value) for name, value in settings.items()}
    served = Served(
        subprocess.Popen(
            [sys.executable, *launcher, "serve", *options],
            cwd=ROOT,
            env={**os.environ, **known},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    )
    threading.Thread(target=served.read, daemon=True).start()
    threading.Thread(target=served.read_errors, daemon=True).start()
    return served


@contextmanager
def serving(*options: str, **settings: object) -> Iterator[Served]:
    """A server that answers; killed at the end if it still runs."""
    served = start(*options, **settings)
    try:
        served.wait_until_ready()
        yield served
    finally:
        if served.process.poll() is None:
            # Its children notice, drain and end with it.
            served.process.terminate()
            try:
                served.process.wait(30)
            except subprocess.TimeoutExpired:
                served.process.kill()
                served.process.wait()
