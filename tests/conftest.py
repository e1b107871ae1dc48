"""Real parts for the tests: a store, two kinds of broker, fresh names."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest
import toolbox
from contract_parts import CATALOGUE
from hypothesis import HealthCheck, settings
from image import Image
from kafka_cluster import kafka_cluster, why_not
from light import LightInstall
from postgres_cluster import PostgresCluster
from slow_work import watched
from sqlalchemy import make_url
from stream_bench import StreamBench
from stream_parts import create_topics
from streams import DEDUPE_MS, LATENESS_MS

from scoring.control.database.database import Database
from scoring.demo.stage import Stage, staged
from scoring.embedded.broker import FETCH_WAIT_MS, embedded_broker
from scoring.embedded.service import Parts
from scoring.embedded.store import EmbeddedStore, embedded_store
from scoring.embedded.store_cluster import EmbeddedCluster, embedded_cluster
from scoring.stores.memory.store import MemoryStore
from scoring.stores.redis.address import StoreAddress
from scoring.stores.redis.store import RedisStore

# Read when XGBoost is imported, which some tests do before `fit` can say so: threads
# that spin while they wait take the cores from the other tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The machine is shared: a slow example is no failure of the product.
settings.register_profile(
    "ci", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "quick", max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "nightly",
    max_examples=2_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

HANDBOOK_TABLE = "fdh_raw.parquet"
# Half of what the quick tests would take: `make quick` leaves them to `make test`.
SLOW = (
    "test_planted_omissions.py",
    "test_model_commands.py",
    "test_training.py",
    "test_a_light_install_says_in_one_line_what_a_command_needs",
    "test_what_inflates_without_end_is_one_record_that_says_so",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow; see `SLOW`."""
    for item in items:
        if any(name in item.nodeid for name in SLOW):
            item.add_marker(pytest.mark.slow)


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker under test; `embedded` says which of the two kinds."""

    bootstrap: str
    embedded: bool
    # Short: a killed worker is replaced soon, and the embedded broker lets the first
    # member of a group wait for half of it.
    session_timeout_s: ClassVar[float] = 3.0

    @property
    def fetch_wait_ms(self) -> int:
        """Long-poll that this broker needs."""
        return FETCH_WAIT_MS if self.embedded else 100


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """A real embedded Valkey, shared; keep apart by `store_namespace`."""
    with embedded_store() as url:
        yield url


@pytest.fixture(scope="session")
def redis_address(store_url: str) -> StoreAddress:
    """The shared Valkey, as an address."""
    return StoreAddress(store_url)


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[EmbeddedCluster]:
    """A real cluster of three primaries, shared likewise."""
    with embedded_cluster(replicas=False) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster_address(shared_cluster: EmbeddedCluster) -> StoreAddress:
    """The shared cluster, as an address."""
    return StoreAddress(shared_cluster.url, cluster=True)


@pytest.fixture
def own_cluster() -> Iterator[EmbeddedCluster]:
    """Three primaries and three replicas of this test's own, to be broken."""
    with embedded_cluster() as cluster:
        yield cluster


@pytest.fixture
def store_namespace() -> str:
    """A namespace that nobody used before."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """A running Valkey of this test's own, to be stopped, paused and started.

    It keeps what it holds when it is started again.
    """
    directory = tmp_path / "store"
    directory.mkdir()
    store = EmbeddedStore.in_directory(directory, persist=True)
    store.start()
    yield store
    store.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """A PostgreSQL, shared; keep apart by `database()`."""
    cluster = PostgresCluster()
    cluster.start()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresCluster) -> str:
    """A database of it with our tables, to be copied: faster than to migrate."""
    url = postgres.database()
    Database(url).migrated().close()
    return str(make_url(url).database)


@pytest.fixture(params=["sqlite", "postgresql"])
def control_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of the control plane, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'control.db'}"
    template = request.getfixturevalue("migrated_template")
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    return cluster.database(template)


@pytest.fixture
def control_database(control_url: str) -> Iterator[Database]:
    """The control plane's database with its tables, of each kind.

    Whoever parses or compiles while they write fails: nobody else can write then.
    """
    database = watched(Database(control_url).migrated())
    yield database
    database.close()


@pytest.fixture(scope="session")
def embedded_bootstrap() -> Iterator[str]:
    """The embedded broker, host:port; keep apart by `topic_prefix`."""
    with embedded_broker() as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Apache Kafka 4 (KRaft), host:port; keep apart by `topic_prefix`."""
    missing = why_not()
    if missing:
        pytest.skip(missing)
    with kafka_cluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster.bootstrap


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)],
)
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each test that takes this runs on the embedded broker and on Apache Kafka."""
    bootstrap = request.getfixturevalue(f"{request.param}_bootstrap")
    return Broker(bootstrap, embedded=request.param == "embedded")


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of topics that nobody used before."""
    return f"t{uuid4().hex[:12]}."


@pytest.fixture
async def stream(
    broker: Broker,
    own_store: EmbeddedStore,
    topic_prefix: str,
    model_dir: Path,
    tmp_path: Path,
) -> AsyncIterator[StreamBench]:
    """Topics, a store and `scoring stream` processes of this test's own."""
    await create_topics(broker.bootstrap, topic_prefix)
    bench = StreamBench(broker, own_store, topic_prefix, model_dir, tmp_path)
    yield bench
    bench.stop()


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model bundle for the default features, trained in a second on noise."""
    return trained_once("model", tmp_path_factory)


@pytest.fixture(scope="session")
def other_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model for the same features."""
    small = {"rows": 3_000, "seed": 1, "rounds": 20, "depth": 3}
    return trained_once("other-model", tmp_path_factory, **small)


def trained_once(name: str, temporary: pytest.TempPathFactory, **sizes: int) -> Path:
    """A copy of this process's own of a bundle that one process trains for all."""
    from small_model import noise_bundle

    shared = temporary.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / name).exists():
            noise_bundle(shared / f"{name}.draft", **sizes).rename(shared / name)
    return shutil.copytree(shared / name, temporary.mktemp(name) / "bundle")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What the Dockerfile builds, in a directory of its own."""
    image = Image(tmp_path_factory.mktemp("image"))
    try:
        image.build()
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            pytest.fail(error.stderr)
        pytest.skip(f"the packages are not to be had: {error.stderr[-300:]}")
    return image


@pytest.fixture(scope="session")
def light(tmp_path_factory: pytest.TempPathFactory) -> LightInstall:
    """The package without extras, in an environment of its own."""
    try:
        return LightInstall.made(tmp_path_factory.mktemp("light"))
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            pytest.fail(error.stderr)
        pytest.skip(f"the packages are not to be had: {error.stderr[-300:]}")


@pytest.fixture(scope="session")
def handbook_data() -> Path:
    """The directory with the Handbook's tables (SCORING_HANDBOOK_DATA)."""
    named = os.environ.get("SCORING_HANDBOOK_DATA")
    sibling = Path(__file__).parents[2] / "shared" / "data"
    directory = Path(named) if named else sibling
    if not (directory / HANDBOOK_TABLE).is_file():
        pytest.skip(
            f"no Handbook data: SCORING_HANDBOOK_DATA names no directory with "
            f"{HANDBOOK_TABLE}"
        )
    return directory


@pytest.fixture(scope="session", params=sorted(toolbox.HELM))
def helm(request: pytest.FixtureRequest) -> Path:
    """The helm binary: each test that takes this runs under both majors."""
    return toolbox.required(lambda: toolbox.helm(request.param))


@pytest.fixture(scope="session")
def newest_helm() -> Path:
    """The helm binary of the newest major."""
    return toolbox.required(lambda: toolbox.helm(max(toolbox.HELM)))


@pytest.fixture(scope="session")
def embedded_doors(
    store_url: str,
    embedded_bootstrap: str,
    model_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Both of our processes on the embedded broker, writing JSON."""
    parts = Parts(store_url, embedded_bootstrap, embedded_broker=True)
    directory = tmp_path_factory.mktemp("embedded-doors")
    with staged(parts, model_dir=model_dir, directory=directory, say=print) as stage:
        yield stage


@pytest.fixture(scope="session")
def kafka_doors(
    store_url: str,
    kafka_bootstrap: str,
    model_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Both of our processes on a real Apache Kafka, writing JSON."""
    parts = Parts(store_url, kafka_bootstrap, embedded_broker=False)
    directory = tmp_path_factory.mktemp("kafka-doors")
    with staged(parts, model_dir=model_dir, directory=directory, say=print) as stage:
        yield stage


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request, store_namespace):
    """Every store there is: what one promises, all do."""
    terms = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}
    if request.param == "memory":
        yield MemoryStore(CATALOGUE, **terms)
        return
    address = request.getfixturevalue(f"{request.param}_address")
    made = await RedisStore.connect(
        address, catalogue=CATALOGUE, namespace=store_namespace, **terms
    )
    yield made
    await made.close()
