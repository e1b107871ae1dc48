"""Drills on a real Apache Kafka: kill, stop, restart, rebalance under load.

An independent consumer counts, and the reference engine judges the features.
`SCORING_DRILL_KILLS`, `_RECORDS`, `_SEEDS` and `_RESTARTS` make them as long as one
likes (`make nightly` does); the seeds choose what is killed and when.
"""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from kafka_cluster import kafka_cluster
from oracle import out_of_order, wrong_features
from stream_bench import StreamBench
from stream_parts import Input, create_topics, transaction

from scoring.embedded.store import EmbeddedStore

KILLS = int(os.environ.get("SCORING_DRILL_KILLS", "2"))
RECORDS = int(os.environ.get("SCORING_DRILL_RECORDS", "2400"))
pytestmark = [
    pytest.mark.drill,
    pytest.mark.kafka,
    pytest.mark.timeout(300 if RECORDS <= 3000 else 3_600),
]
RATE = int(os.environ.get("SCORING_DRILL_RATE", "300"))
SEEDS = range(1, 1 + int(os.environ.get("SCORING_DRILL_SEEDS", "1")))
ROUNDS = int(os.environ.get("SCORING_DRILL_RESTARTS", "2"))
SESSION_S = 3.0
OUTAGE_S = int(os.environ.get("SCORING_DRILL_OUTAGE_S", "10"))


class KafkaBroker:
    """A Kafka of this drill's own, as the bench wants its broker."""

    embedded = False
    fetch_wait_ms = 100
    session_timeout_s = SESSION_S

    def __init__(self, cluster):
        self.cluster, self.bootstrap = cluster, cluster.bootstrap


@pytest.fixture
async def drill(kafka_bootstrap, own_store, topic_prefix, model_dir, tmp_path):
    class Shared:
        bootstrap, embedded = kafka_bootstrap, False
        fetch_wait_ms, session_timeout_s = 100, SESSION_S

    await create_topics(kafka_bootstrap, topic_prefix)
    bench = StreamBench(Shared, own_store, topic_prefix, model_dir, tmp_path)
    yield bench
    bench.stop()


@pytest.fixture
async def own_kafka(own_store: EmbeddedStore, topic_prefix, model_dir, tmp_path: Path):
    home = tmp_path / "kafka"
    home.mkdir()
    with kafka_cluster(home) as cluster:
        await create_topics(cluster.bootstrap, topic_prefix)
        bench = StreamBench(
            KafkaBroker(cluster), own_store, topic_prefix, model_dir, tmp_path
        )
        yield bench
        bench.stop()


def payments(n: int) -> list[Input]:
    return [Input.of(transaction(f"t{i}")) for i in range(n)]


def sending(drill: StreamBench, n: int) -> asyncio.Task:
    return asyncio.ensure_future(drill.send(payments(n), rate=RATE))


async def settled(drill: StreamBench, n: int, *, zombies: bool = False):
    """Count until all is decided: once, in order, by the right features.

    A zombie may have repeated what stands there already, byte for byte.
    """
    counted = await drill.count(n, settle_s=3)
    assert not counted.lost([f"t{i}" for i in range(n)])
    assert (counted.conflicting, counted.degraded) == (0, 0)
    assert not counted.letters
    assert zombies or counted.duplicated == 0
    assert all(len(set(records)) == 1 for records in counted.raw.values())
    logged = [records[0] for records in counted.raw.values()]
    assert not wrong_features(logged)
    assert not out_of_order(logged)
    return counted


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 2], ids=["alone", "of_two"])
async def test_kill_9_again_and_again(drill, count, seed):
    chance = random.Random(seed)
    workers = [await drill.worker().ready() for _ in range(count)]
    starts = {id(worker): 1 for worker in workers}
    feed = sending(drill, RECORDS)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        victim = chance.choice(workers)
        victim.kill()
        victim.start()
        starts[id(victim)] += 1
        await victim.ready(times=starts[id(victim)])
    await feed
    await settled(drill, RECORDS)


async def test_rolling_restarts(drill):
    workers = [await drill.worker().ready() for _ in range(2)]
    feed = sending(drill, RECORDS)
    for turn in range(ROUNDS * len(workers)):
        worker = workers[turn % 2]
        assert worker.terminate() == 0
        worker.start()
        await worker.ready(times=turn // 2 + 2)
    await feed
    await settled(drill, RECORDS)


async def test_a_rebalance_storm(drill):
    await drill.worker().ready()
    feed = sending(drill, RECORDS)
    for _ in range(4):
        guest = await drill.worker().ready()
        await asyncio.sleep(0.3)
        guest.terminate()
    await feed
    await settled(drill, RECORDS)


async def test_a_zombie_writes_nothing_but_identical_bytes(drill):
    """Stopped for longer than its session, then woken: its partitions are another's."""
    first = await drill.worker().ready()
    feed = sending(drill, RECORDS)
    await asyncio.sleep(1.0)
    first.process.send_signal(signal.SIGSTOP)
    second = await drill.worker().ready()
    await asyncio.sleep(SESSION_S + 2.0)
    first.process.send_signal(signal.SIGCONT)
    await feed
    counted = await settled(drill, RECORDS, zombies=True)
    print(f"zombie: {counted.duplicated} byte-identical duplicates")
    assert second.process.poll() is None


async def test_a_broker_restarted_under_load(own_kafka):
    drill, cluster = own_kafka, own_kafka.broker.cluster
    worker = await drill.worker("--workers", "2").ready()
    feed = sending(drill, RECORDS)
    await asyncio.sleep(2)
    await asyncio.to_thread(cluster.stop, kill=True)
    await asyncio.sleep(2)
    await asyncio.to_thread(cluster.start)
    await feed
    await settled(drill, RECORDS)
    assert worker.process.poll() is None


def processor_s(pid: int) -> float:
    """The processor's time that a process took, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_broker_that_is_away_is_waited_for_quietly(own_kafka):
    """It took a core and wrote 12,000 lines a second."""
    drill, cluster = own_kafka, own_kafka.broker.cluster
    worker = await drill.worker().ready()
    await drill.send(payments(200))
    await drill.count(200, settle_s=0)
    await asyncio.to_thread(cluster.stop)
    before = processor_s(worker.process.pid)
    await asyncio.sleep(OUTAGE_S)
    took = processor_s(worker.process.pid) - before
    lines = worker.output.read_text().splitlines()
    assert took < 0.3 * OUTAGE_S
    assert 2 <= len(lines) <= 20 + OUTAGE_S / 3  # some ten causes, each once a minute
    await asyncio.to_thread(cluster.start)
    await drill.send(payments(400)[200:])
    await settled(drill, 400)
    assert worker.process.poll() is None


async def set_bytes_max(bootstrap: str, topic: str, bytes_max: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    configs = {"max.message.bytes": str(bytes_max)}
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, configs)]
    )
    await admin.close()


async def test_an_unforeseen_error_in_the_body_ends_the_process_and_loses_nothing(
    drill,
):
    """No topic takes any record, not even a letter: nothing the worker can settle."""
    outputs = [drill.prefix + t for t in ("decisions", "transactions.dead-letter")]
    for topic in outputs:
        await set_bytes_max(drill.broker.bootstrap, topic, 64)
    worker = await drill.worker().ready()
    await drill.send(payments(300))
    while worker.process.poll() is None:
        await asyncio.sleep(0.1)
    assert worker.process.returncode == 1
    last = worker.output.read_text().splitlines()[-1]
    assert "scoring stream: ended by RecordsRefused" in last
    assert await drill.committed() == 0
    for topic in outputs:
        await set_bytes_max(drill.broker.bootstrap, topic, 1_048_576)
    worker.start()
    await settled(drill, 300)
