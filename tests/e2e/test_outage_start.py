"""Processes that are started in an outage: they answer, and recover by themselves."""

import asyncio
import time
import urllib.error
import urllib.request
from uuid import uuid4

import grpc
import pytest
from gates import gate
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_parts import payment, request
from kafka_cluster import kafka_cluster, why_not
from served import serving, start
from store_parts import connected
from stream_parts import Input, Worker, count, create_topics, send, transaction

from scoring.embedded.child import free_port
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Rung

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]
ANSWERED = 5
WAITED_S_MAX = 30


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """A real Apache Kafka, and the gate on the way to it."""
    if missing := why_not():
        pytest.skip(missing)
    directory = tmp_path_factory.mktemp("gated")
    with gate() as way, kafka_cluster(directory, gate=way) as cluster:
        yield cluster, way


@pytest.fixture
def settings(kafka, own_store, model_dir, store_namespace, tmp_path):
    _, way = kafka
    return {
        "model_dir": model_dir,
        "redis_url": own_store.url,
        "kafka_bootstrap": way.address,
        "topic_prefix": f"t{uuid4().hex[:12]}.",
        "namespace": store_namespace,
        "state_dir": tmp_path / "state",
        "metrics_port": free_port(),
        # The machine of the tests is shared: this is no drill of milliseconds.
        "budget_ms": 5_000,
        "store_budget_ms": 2_000,
    }


def page(settings, path):
    url = f"http://127.0.0.1:{settings['metrics_port']}/{path}"
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(condition):
    ends = time.monotonic() + WAITED_S_MAX
    while not (found := condition()):
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.1)
    return found


def ask(address, one):
    with grpc.insecure_channel(
        address, [("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        stub = stubs.FraudScoringStub(channel)
        return stub.CheckTransaction(request(one), timeout=10).decision


def health(address, service):
    with grpc.insecure_channel(address) as channel:
        probe = health_pb2_grpc.HealthStub(channel)
        return probe.Check(health_pb2.HealthCheckRequest(service=service)).status


async def outage(settings, kafka, store, *, store_is, log_is):
    """Bring both into a state: away, there and empty, or there and in use."""
    cluster, way = kafka
    if store_is == "used":
        await (await connected(store.url, settings["namespace"])).close()
    if store_is == "away":
        store.stop()
    if log_is == "used":
        await create_topics(cluster.bootstrap, settings["topic_prefix"])
    if log_is == "away":
        way.shut()


async def end_of_outage(settings, kafka, store):
    cluster, way = kafka
    if not store.child.running:
        store.start()
    way.open()
    await create_topics(cluster.bootstrap, settings["topic_prefix"])


def assert_told(settings, served, missing):
    """Health, metric, readiness and log line each name what is missing."""
    for name in missing:
        assert health(served.address, name) == 2
        assert f"{name} unavailable" in page(settings, "readyz")[1]
        assert f'available{{system="{name}"}} 0.0' in page(settings, "metrics")[1]
        said = {"store": "store unavailable", "log": "log unavailable"}[name]
        assert any(said in line for line in served.errors)


COMBINATIONS = [
    (store_is, log_is)
    for store_is in ("away", "empty", "used")
    for log_is in ("away", "empty", "used")
]


@pytest.mark.kafka
@pytest.mark.parametrize(("store_is", "log_is"), COMBINATIONS)
async def test_serve_starts_and_answers_whatever_is_away(
    settings, kafka, own_store, store_is, log_is
):
    await outage(settings, kafka, own_store, store_is=store_is, log_is=log_is)
    payments = [payment() for _ in range(ANSWERED)]
    try:
        with serving(**settings) as served:
            answers = [ask(served.address, one) for one in payments]
            assert all(answer.core.reasons for answer in answers)
            assert health(served.address, "") == 1, "able to answer, degraded included"
            assert page(settings, "readyz")[0] == 200
            missing = [
                name
                for name, is_ in (("store", store_is), ("log", log_is))
                if is_ == "away"
            ]
            assert_told(settings, served, missing)
            assert store_is != "away" or all(a.core.provisional for a in answers)
            await end_of_outage(settings, kafka, own_store)
            whole = wait_for(
                lambda: (
                    (answer := ask(served.address, payment())).core.rung
                    == Rung.RUNG_FULL
                    and answer
                )
            )
            assert not whole.core.provisional
            for one, answer in zip(payments, answers, strict=True):
                again = ask(served.address, one)
                assert not again.core.provisional
                assert again.core.outcome == answer.core.outcome
            async with asyncio.timeout(WAITED_S_MAX):
                counted = await count(
                    kafka[0].bootstrap, settings["topic_prefix"], until=ANSWERED + 1
                )
            assert not counted.lost([one.id for one in payments])
            assert counted.conflicting == 0
            wait_for(lambda: health(served.address, "store") == 1)
            wait_for(lambda: health(served.address, "log") == 1)
            assert served.stop() == 0
    finally:
        kafka[1].open()


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("store_is", "log_is"), [("away", "away"), ("empty", "empty"), ("empty", "away")]
)
async def test_the_stream_starts_and_waits_whatever_is_away(
    settings, kafka, own_store, store_is, log_is
):
    tmp_path = settings["state_dir"].parent
    await outage(settings, kafka, own_store, store_is=store_is, log_is=log_is)
    known = {f"SCORING_{name.upper()}": str(value) for name, value in settings.items()}
    worker = Worker(known, tmp_path / "worker.log").start()
    try:
        wait_for(lambda: "the stream waits" in (tmp_path / "worker.log").read_text())
        assert page(settings, "livez")[0] == 200
        status, why = page(settings, "readyz")
        assert status == 503
        assert "waits for" in why
        await end_of_outage(settings, kafka, own_store)
        inputs = [transaction(f"t{n}") for n in range(20)]
        topic = f"{settings['topic_prefix']}transactions"
        await send(kafka[0].bootstrap, topic, [Input.of(one) for one in inputs])
        async with asyncio.timeout(WAITED_S_MAX):
            counted = await count(
                kafka[0].bootstrap, settings["topic_prefix"], until=len(inputs)
            )
        assert not counted.lost([one.id for one in inputs])
        assert (counted.degraded, counted.duplicated) == (0, 0)
        assert page(settings, "readyz")[0] == 200
        assert worker.terminate() == 0
    finally:
        kafka[1].open()
        worker.stop()


def test_a_stream_that_waits_ends_well_when_told(settings, kafka, tmp_path):
    kafka[1].shut()
    known = {f"SCORING_{name.upper()}": str(value) for name, value in settings.items()}
    worker = Worker(known, tmp_path / "worker.log").start()
    try:
        wait_for(lambda: "the stream waits" in (tmp_path / "worker.log").read_text())
        assert worker.terminate() == 0
    finally:
        kafka[1].open()
        worker.stop()


def refused(served):
    """The one line of a process that ended because a setting is wrong."""
    assert served.process.wait(60) == 2
    wait_for(lambda: served.errors)
    [line] = [line for line in served.errors if line.startswith("scoring: ")]
    assert not any("Traceback" in line for line in served.errors)
    return line


@pytest.fixture
def alone(settings):
    """Settings without a broker."""
    return {k: v for k, v in settings.items() if k != "kafka_bootstrap"}


def test_a_store_that_refuses_the_password_ends_it_with_one_line(alone, own_store):
    url = own_store.url.replace("://", "://nobody:s3cret@")
    line = refused(start(**{**alone, "redis_url": url}))
    assert "SCORING_REDIS_URL" in line
    assert "s3cret" not in line


def test_a_store_that_may_evict_ends_it_with_one_line(alone, own_store):
    told(own_store, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert "allkeys-lru" in refused(start(**alone))


def test_a_setting_that_proves_wrong_after_the_outage_ends_it_with_one_line(
    alone, own_store
):
    url = own_store.url.replace("://", "://nobody:s3cret@")
    own_store.stop()
    with serving(**{**alone, "redis_url": url}) as served:
        assert ask(served.address, payment()).core.provisional
        own_store.start()
        assert "SCORING_REDIS_URL" in refused(served)


def test_a_database_that_is_not_there_ends_it_with_one_line(alone, own_store):
    url = own_store.url.replace("/0", "/4000")
    assert "SCORING_REDIS_URL" in refused(start(**{**alone, "redis_url": url}))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("grpc_address", "127.0.0.1:99999", "65535"),
        ("grpc_address", "127.0.0.1", "host:port"),
        ("grpc_health_address", "127.0.0.1:99999", "65535"),
        ("kafka_options", '{"sasl_mechanism": "GUESSED"}', "SCORING_KAFKA_OPTIONS"),
        ("kafka_bootstrap", "127.0.0.1:none", "SCORING_KAFKA_BOOTSTRAP"),
        ("kafka_bootstrap", "kafka://127.0.0.1:9092", "without a scheme"),
        ("state_dir", "/dev/null/state", "SCORING_STATE_DIR"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(alone, name, value, said):
    if name == "kafka_options":
        alone = alone | {"kafka_bootstrap": "127.0.0.1:9"}
    assert said in refused(start(**{**alone, name: value}))


@pytest.mark.parametrize("workers", ["--workers=1", "--workers=2"])
def test_a_port_for_workers_that_is_none_is_one_line(alone, workers):
    line = refused(start(workers, "--address=127.0.0.1:99999", **alone))
    assert "65535" in line


def test_a_busy_metrics_port_is_one_line(alone):
    with serving(**alone):
        assert "SCORING_METRICS_PORT" in refused(start(**alone))


def told(store, *command):
    from redis import Redis

    with Redis.from_url(store.url) as client:
        return client.execute_command(*command)
