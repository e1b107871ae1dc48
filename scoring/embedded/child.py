"""A child process on a free loopback port that never outlives its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"
_START_ATTEMPTS_MAX = 3  # another process may take the free port before the child
_READY_S = 30.0  # milliseconds where nothing else runs
_STOP_S = 5.0
# Asks the kernel to kill this process with its parent, then becomes the command:
# PR_SET_PDEATHSIG is 1 and survives exec. A trampoline, because code between fork
# and exec is unsafe in a process with threads.
_TRAMPOLINE = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,9,0,0,0);"
    "os.getppid()==int(sys.argv[1]) or sys.exit(1);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago.

    >>> 1024 <= free_port() <= 65535
    True
    """
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Child:
    """A server process: started, watched until it answers, stopped for certain.

    `command(port)` is the argument vector (an absolute path first); `ready(port)`
    says whether the server answers. Output goes to `log_file`. It runs in a process
    group of its own, so that Ctrl-C reaches us first and it last. Start it from a
    thread that lives as long as the child shall: the kernel ties it to that thread.
    """

    command: Callable[[int], Sequence[str]]
    ready: Callable[[int], bool]
    log_file: Path
    port: int = 0
    ready_s: float = _READY_S
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        """Process id of the running child."""
        assert self._process is not None, "start the child first"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def address(self) -> str:
        """Where it listens, host:port."""
        return f"{LOOPBACK}:{self.port}"

    def begin(self) -> None:
        """Start without waiting, beside others; `start` then waits for it."""
        self.port = self.port or free_port()
        self._spawn(self.port)

    def start(self) -> None:
        """Return when the server answers; raises `RuntimeError` with its last lines.

        A port that was given, or used before, is kept: clients reconnect.
        """
        attempts = 1 if self.port else _START_ATTEMPTS_MAX
        for _ in range(attempts):
            port = self.port or free_port()
            if not self.running:
                self._spawn(port)
            if self._answers(port):
                self.port = port
                return
            self.stop()
        raise RuntimeError(
            f"{self.command(0)[0]} did not start; its last words:\n{self.last_words()}"
        )

    def _spawn(self, port: int) -> None:
        trampoline = [sys.executable, "-ISc", _TRAMPOLINE, str(os.getpid())]
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [*trampoline, *self.command(port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.log_file.parent,
                process_group=0,
            )

    def _answers(self, port: int) -> bool:
        assert self._process is not None
        gives_up_at = time.monotonic() + self.ready_s
        while time.monotonic() < gives_up_at and self._process.poll() is None:
            if self.ready(port):
                return True
            time.sleep(0.005)
        return False

    def last_words(self) -> str:
        """The end of the child's output."""
        return self.log_file.read_text(errors="replace")[-2_000:]

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self, *, kill: bool = False) -> None:
        """End it: asked first (unless `kill`), forced after a few seconds."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        if not kill:
            process.terminate()
        try:
            process.wait(0 if kill else _STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def exchanges(port: int, request: bytes, answer: bytes) -> bool:
    """Whether a server answers these bytes with bytes that begin so."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0) as connection:
            connection.sendall(request)
            return connection.recv(64).startswith(answer)
    except OSError:
        return False


def accepts(port: int) -> bool:
    """Whether anybody accepts connections on a loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False
