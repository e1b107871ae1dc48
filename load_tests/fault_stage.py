"""The parts that the fault drills break: a store behind a proxy, a broker, a server."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from load_tests.delay_proxy import DelayProxy
from load_tests.priority import ordinarily
from load_tests.traffic import Traffic
from scoring.embedded.broker import FETCH_WAIT_MS, broker_in_directory
from scoring.embedded.child import Child
from scoring.embedded.store import EmbeddedStore
from scoring.embedded.store_cluster import EmbeddedCluster
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.v1.fraud_scoring_pb2 import (
    CheckTransactionRequest,
    CheckTransactionResponse,
)

_METHOD = "/scoring.v1.FraudScoring/CheckTransaction"
_READY = "serving grpc on "
_WARM_UPS_MAX = 50
PARTITIONS = 4
TOPIC_PREFIX = "drill."


@dataclass(slots=True)
class Stage:
    """Everything that runs; `canned` is a decision for the null server to repeat.

    The server asks the `cluster` where there is one, else the store by the proxy.
    """

    store: EmbeddedStore
    proxy: DelayProxy | None
    broker: Child
    server: subprocess.Popen[str]
    address: str
    model_dir: Path
    canned: Path
    cluster: EmbeddedCluster | None = None

    async def start_broker(self) -> None:
        """Start it again; it kept what it had acknowledged."""
        await asyncio.to_thread(ordinarily, self.broker.start)

    def kill_worker(self) -> None:
        """SIGKILL one of the server's workers."""
        pid = self.server.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)


@asynccontextmanager
async def staged(
    scratch: Path,
    *,
    workers: int,
    delays: bool,
    clustered: bool,
    kafka: bool,
    settings: Mapping[str, object],
) -> AsyncIterator[Stage]:
    """Start all parts; the model is the demo's unless `model_dir` is set.

    With `delays` the server reaches its store through a proxy that can be made slow;
    `clustered`, its store is a cluster of three primaries and three replicas. With
    `kafka` the broker is Apache Kafka: the embedded one has no idempotent producer,
    and forgets everything when it ends.
    """
    model_dir = scratch / "model"
    shutil.copytree(_model(settings), model_dir)
    store = EmbeddedStore.in_directory(scratch, persist=True)
    broker = _apache_kafka(scratch) if kafka else broker_in_directory(scratch)
    async with AsyncExitStack() as stack:
        stack.callback(store.stop, kill=True)
        stack.callback(broker.stop, kill=True)
        store.start()
        broker.start()
        proxy = None
        if delays:
            proxy = await stack.enter_async_context(
                DelayProxy("127.0.0.1", store.child.port)
            )
        cluster = _cluster(scratch, stack) if clustered else None
        url = f"redis://{(proxy or store.child).address}/0"
        told = {
            "redis_url": cluster.url if cluster else url,
            "redis_cluster": clustered,
            "kafka_bootstrap": broker.address,
            **settings,
            "model_dir": model_dir,
        }
        env = _environment(scratch, told)
        await make_topics(broker)
        command = [sys.executable, "-m", "scoring", "serve", f"--workers={workers}"]
        server = stack.enter_context(_running(command, env))
        address = await asyncio.to_thread(_ready, server)
        canned = scratch / "canned.bin"
        canned.write_bytes(await _decision(address))
        yield Stage(store, proxy, broker, server, address, model_dir, canned, cluster)


def _apache_kafka(scratch: Path) -> Child:
    """The tests' own node; it needs Java, and Maven once."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from kafka_cluster import KafkaCluster

    node: Child = KafkaCluster.in_directory(scratch).child
    return node


def _cluster(scratch: Path, stack: AsyncExitStack) -> EmbeddedCluster:
    cluster = EmbeddedCluster(scratch / "cluster")
    stack.callback(cluster.stop)
    cluster.start()
    return cluster


def _model(settings: Mapping[str, object]) -> Path:
    if "model_dir" in settings:
        return Path(str(settings["model_dir"]))
    from scoring.core.features.catalogue import default_catalogue
    from scoring.training.progress import bar
    from scoring.training.train import ensure_demo_model

    directory = Path(".scoring/demo/model")
    with bar(transient=True) as report:
        ensure_demo_model(directory, default_catalogue(), report)
    return directory


def _environment(scratch: Path, settings: Mapping[str, object]) -> dict[str, str]:
    told = {
        "fetch_wait_ms": FETCH_WAIT_MS,
        "topic_prefix": TOPIC_PREFIX,
        "state_dir": scratch,
        "grpc_address": "127.0.0.1:0",
        **settings,
    }
    return {f"SCORING_{name.upper()}": str(value) for name, value in told.items()}


async def make_topics(broker: Child) -> None:
    """Create the topics of the service on a broker that has none."""
    client = {"bootstrap_servers": broker.address}
    await create_topics(client, Topics(TOPIC_PREFIX), partitions=PARTITIONS)


@contextmanager
def null_server(canned: Path) -> Iterator[str]:
    """A server that does nothing, on the same options; yields its address."""
    command = [sys.executable, "-m", "benchmarks.grpc_null", str(canned)]
    with _running(command, {}) as server:
        yield _ready(server)


@contextmanager
def _running(
    command: list[str], env: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith(_READY):
            return line.removeprefix(_READY).strip()
    raise SystemExit(f"{server.args!r}: it never answered")


async def _decision(address: str) -> bytes:
    """A decision, once the server is warm enough to make one in its budget."""
    traffic = Traffic(0)
    async with grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary(_METHOD)
        for _ in range(_WARM_UPS_MAX):
            request = CheckTransactionRequest(transaction=traffic.next())
            try:
                raw = await check(request.SerializeToString(), timeout=10)
            except grpc.aio.AioRpcError:
                continue
            decision = CheckTransactionResponse.FromString(raw).decision
            return decision.SerializeToString()
    raise SystemExit("the server never decided within its budget")
