"""A real Valkey cluster on loopback: three primaries, each with a replica."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from scoring.embedded.child import LOOPBACK, Child, exchanges, free_port
from scoring.embedded.store import server_binary

_PRIMARIES = 3
_SLOTS = 16_384
_FORMED_S = 60.0
_FAILS_AFTER_MS = 2_000  # unheard for this long, a node is taken for failed
_NEVER_FAILS_MS = 60_000  # where nobody could take its place


@dataclass(slots=True)
class EmbeddedCluster:
    """Three primaries and as many replicas, each of which can be ended and started.

    The first three of `nodes` begin as primaries, the others as their replicas in
    the same order. Nothing is evicted, and nothing outlives its process except, with
    `persist`, in the nodes' logs.
    """

    directory: Path
    persist: bool = False
    fails_after_ms: int = _FAILS_AFTER_MS
    replicas: bool = True
    nodes: list[Child] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its first node, as a redis:// URL."""
        return f"redis://{self.nodes[0].address}"

    def start(self) -> None:
        """Return when every slot is served, and every replica follows its primary."""
        count = 2 * _PRIMARIES if self.replicas else _PRIMARIES
        self.nodes = [self._node(i) for i in range(count)]
        for node in self.nodes:
            node.begin()
        for node in self.nodes:
            node.start()
        self._form()

    def _node(self, number: int) -> Child:
        directory = self.directory / f"node-{number}"
        directory.mkdir(parents=True, exist_ok=True)

        def command(port: int) -> list[str]:
            return [
                server_binary(),
                *("--port", str(port), "--bind", LOOPBACK, "--dir", str(directory)),
                *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                *("--cluster-port", str(bus)),
                *("--cluster-node-timeout", str(self.fails_after_ms)),
                *("--cluster-replica-validity-factor", "0"),
                *("--cluster-require-full-coverage", "no"),
                *("--repl-diskless-sync-delay", "0", "--repl-backlog-size", "16mb"),
                *("--maxmemory-policy", "noeviction", "--save", ""),
                *("--appendonly", "yes" if self.persist else "no"),
            ]

        bus = free_port()  # the default, the port plus 10,000, may not exist
        return Child(command, _answers, directory / "node.log")

    def _form(self) -> None:
        clients: list[Any] = [Redis(port=node.port) for node in self.nodes]
        share = -(-_SLOTS // _PRIMARIES)
        for i, client in enumerate(clients[:_PRIMARIES]):
            last = min((i + 1) * share, _SLOTS) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", i * share, last)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for node in self.nodes[1:]:
            port, bus = node.port, _bus_port(Redis(port=node.port))
            clients[0].execute_command("CLUSTER", "MEET", LOOPBACK, port, bus)
        self._until(lambda: all(_known(c) == len(self.nodes) for c in clients))
        for i, client in enumerate(clients[_PRIMARIES:]):
            id_ = clients[i].execute_command("CLUSTER", "MYID")
            client.execute_command("CLUSTER", "REPLICATE", id_)
        self._until(lambda: all(_is_ready(client) for client in clients))
        for client in clients:
            client.close()

    def _until(self, condition: Callable[[], bool]) -> None:
        gives_up_at = time.monotonic() + _FORMED_S
        while time.monotonic() < gives_up_at:
            try:
                if condition():
                    return
            except RedisError:
                pass  # a replica is starting to follow
            time.sleep(0.02)
        raise RuntimeError("the cluster did not form")

    def primary_of(self, slot: int) -> Child:
        """The node that serves a slot now, as a live node sees it."""
        live = next(node for node in self.nodes if node.running)
        with Redis(port=live.port) as client:
            for first, last, served, *_ in _slots(client):
                if first <= slot <= last:
                    return next(n for n in self.nodes if n.port == served)
        raise RuntimeError(f"nobody serves slot {slot}")

    def stop(self) -> None:
        """End all of it."""
        for node in self.nodes:
            node.stop(kill=True)


def _answers(port: int) -> bool:
    return exchanges(port, b"PING\r\n", b"+PONG")


def _slots(client: Any) -> list[tuple[int, int, int]]:
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "SLOTS")
        found = connection.read_response()
    finally:
        client.connection_pool.release(connection)
    return [(first, last, node[1]) for first, last, node, *_ in found]


def _bus_port(client: Any) -> int:
    with client:
        return int(client.config_get("cluster-port")["cluster-port"])


def _known(client: Any) -> int:
    return int(client.cluster("INFO")["cluster_known_nodes"])


def _is_ready(client: Any) -> bool:
    if client.cluster("INFO")["cluster_state"] != "ok":
        return False
    replication = client.info("replication")
    if replication["role"] == "slave":
        return bool(replication["master_link_status"] == "up")
    return True


@contextmanager
def embedded_cluster(*, replicas: bool = True) -> Iterator[EmbeddedCluster]:
    """Run a cluster on free loopback ports; it ends with the block."""
    fails_after_ms = _FAILS_AFTER_MS if replicas else _NEVER_FAILS_MS
    with tempfile.TemporaryDirectory(prefix="scoring-cluster-") as scratch:
        cluster = EmbeddedCluster(
            Path(scratch), replicas=replicas, fails_after_ms=fails_after_ms
        )
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
