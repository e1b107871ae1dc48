"""A real Valkey primary with its replica, watched by three sentinels."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from scoring.embedded.child import LOOPBACK, Child, exchanges
from scoring.embedded.store import server_binary

SERVICE = "payments"
_SENTINELS = 3
_DOWN_AFTER_MS = 500  # unheard for this long, the primary is taken for failed
_READY_S = 30.0


@dataclass(slots=True)
class EmbeddedSentinels:
    """Three sentinels that watch a primary and its replica under `SERVICE`.

    `password` is what the sentinels themselves ask for, if anything.
    """

    directory: Path
    password: str = ""
    servers: list[Child] = field(default_factory=list)
    sentinels: list[Child] = field(default_factory=list)

    @property
    def addresses(self) -> str:
        """The sentinels, host:port, comma separated."""
        return ",".join(sentinel.address for sentinel in self.sentinels)

    def start(self) -> None:
        """Return when all sentinels know the replica and each other."""
        primary = self._server(0, ())
        primary.start()
        replica = self._server(1, ("--replicaof", LOOPBACK, str(primary.port)))
        replica.start()
        self.servers = [primary, replica]
        self.sentinels = [self._sentinel(i, primary) for i in range(_SENTINELS)]
        for sentinel in self.sentinels:
            sentinel.start()
        gives_up_at = time.monotonic() + _READY_S
        while not all(self._knows_all(sentinel) for sentinel in self.sentinels):
            if time.monotonic() > gives_up_at:
                raise RuntimeError("the sentinels did not find each other")
            time.sleep(0.05)

    def _server(self, number: int, role: tuple[str, ...]) -> Child:
        directory = self._directory(f"server-{number}")

        def command(port: int) -> list[str]:
            return [
                server_binary(),
                *("--port", str(port), "--bind", LOOPBACK, "--dir", str(directory)),
                *("--maxmemory-policy", "noeviction", "--save", ""),
                *("--repl-diskless-sync-delay", "0"),
                *role,
            ]

        return Child(command, _answers, directory / "server.log")

    def _sentinel(self, number: int, primary: Child) -> Child:
        directory = self._directory(f"sentinel-{number}")
        settings = directory / "sentinel.conf"  # it writes what it learns there
        lines = [
            f"dir {directory}",
            f"sentinel monitor {SERVICE} {LOOPBACK} {primary.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 5000",
        ]
        if self.password:
            lines += [
                f"requirepass {self.password}",
                f"sentinel sentinel-pass {self.password}",
            ]
        settings.write_text("\n".join(lines) + "\n")

        def command(port: int) -> list[str]:
            told = ("--port", str(port), "--bind", LOOPBACK)
            return [server_binary(), str(settings), "--sentinel", *told]

        return Child(command, self._is_up, directory / "sentinel.log")

    def _is_up(self, port: int) -> bool:
        return exchanges(port, b"PING\r\n", b"-NOAUTH" if self.password else b"+PONG")

    def _directory(self, name: str) -> Path:
        directory = self.directory / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _knows_all(self, sentinel: Child) -> bool:
        client: Any = Redis(port=sentinel.port, password=self.password or None)
        try:
            found = client.sentinel_master(SERVICE)
            return bool(
                found["num-slaves"] == 1
                and found["num-other-sentinels"] == _SENTINELS - 1
            )
        except (RedisError, KeyError):
            return False
        finally:
            client.close()

    def stop(self) -> None:
        """End all of it."""
        for child in (*self.sentinels, *self.servers):
            child.stop(kill=True)


def _answers(port: int) -> bool:
    return exchanges(port, b"PING\r\n", b"+PONG")


@contextmanager
def embedded_sentinels(password: str = "") -> Iterator[EmbeddedSentinels]:
    """Run all on free loopback ports; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="scoring-sentinel-") as scratch:
        sentinels = EmbeddedSentinels(Path(scratch), password)
        try:
            sentinels.start()
            yield sentinels
        finally:
            sentinels.stop()
