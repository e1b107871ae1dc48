"""Whatever codec producers and topics use, every reader of ours reads it.

Kafka's own producer for Java and librdkafka send with each codec; the topics have
each codec set in turn (`compression.type`), so that the broker writes our outputs
with it; a worker, started again, and every command then read what lies there.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import requires
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from batches import codecs_in
from foreign_producers import CODECS, java_producer, librdkafka_sends
from google.protobuf.timestamp_pb2 import Timestamp
from stream_bench import StreamBench
from stream_parts import NOW_MS, TOPICS, create_topics, transaction

from scoring.core.model.bundle import MANIFEST_FILE, manifest_from_json
from scoring.embedded.store import EmbeddedStore
from scoring.models.registry import ModelRegistry
from scoring.v1.transaction_pb2 import Label, LabelSource, Verdict

pytestmark = [pytest.mark.foreign, pytest.mark.kafka]
PREFIX = "compressed."
NAMES = (*TOPICS, "decisions.challenger")
EACH = 20  # payments a codec and producer: enough for a batch to shrink
POISON = [b"no payment at all" * 20] * 3


@pytest.fixture(scope="module")
def world(kafka_bootstrap, model_dir, tmp_path_factory):
    """Topics that hold batches of every codec, all of them worked off."""
    directory = tmp_path_factory.mktemp("compressed")
    store = EmbeddedStore.in_directory(directory)
    broker = SimpleNamespace(
        bootstrap=kafka_bootstrap, fetch_wait_ms=100, session_timeout_s=3.0
    )
    with ExitStack() as stack:
        store.start()
        stack.callback(store.stop)
        bench = StreamBench(broker, store, PREFIX, model_dir, directory)
        stack.callback(bench.stop)
        java = stack.enter_context(java_producer(kafka_bootstrap))
        asyncio.run(filled(bench, java))
        yield bench


async def filled(bench: StreamBench, java) -> None:
    bootstrap = bench.broker.bootstrap
    await create_topics(bootstrap, PREFIX, partitions=1, names=NAMES)
    await bench.worker().ready()
    for codec in CODECS:
        await compressed_topics(bootstrap, codec)
        java.configure(compression_type=codec, linger_ms="50")
        java.send(f"{PREFIX}transactions", 0, payments("java", codec) + POISON)
        for topic, values in (
            ("transactions", payments("librdkafka", codec)),
            ("labels", labels("java", codec)),
        ):
            await asyncio.to_thread(
                librdkafka_sends,
                *(bootstrap, PREFIX + topic, 0, values),
                compression_type=codec,
            )
        so_far = (CODECS.index(codec) + 1) * (2 * EACH + len(POISON))
        await bench.count(so_far, settle_s=0)
        await bench.labels_taken((CODECS.index(codec) + 1) * EACH)


async def compressed_topics(bootstrap: str, codec: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    chosen = {"compression.type": codec}
    outputs = [n for n in NAMES if n not in ("transactions", "labels")]
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, PREFIX + n, chosen) for n in outputs]
    )
    await admin.close()
    await asyncio.sleep(0.5)  # until the broker goes by it


def id_of(producer: str, codec: str, i: int) -> str:
    return f"{producer}-{codec}-{i}"


def payments(producer: str, codec: str) -> list[bytes]:
    return [
        transaction(id_of(producer, codec, i)).SerializeToString() for i in range(EACH)
    ]


def labels(producer: str, codec: str) -> list[bytes]:
    return [
        Label(
            transaction_id=id_of(producer, codec, i),
            version=1,
            verdict=Verdict.VERDICT_FRAUD,
            source=LabelSource.LABEL_SOURCE_CHARGEBACK,
            known_at=Timestamp(seconds=NOW_MS // 1_000),
        ).SerializeToString()
        for i in range(EACH)
    ]


def scoring(world: StreamBench, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "scoring", *map(str, words)],
        env={**os.environ, **world.env, "COLUMNS": "200",
             "SCORING_ARCHIVE_DIR": str(world.directory / "archive")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("producer", ["java", "librdkafka"])
async def test_what_a_producer_compressed_is_decided_like_any_other(
    world, producer, codec
):
    counted = await world.count(len(CODECS) * (2 * EACH + len(POISON)))
    assert not counted.lost([id_of(producer, codec, i) for i in range(EACH)])
    assert (counted.duplicated, counted.conflicting, counted.degraded) == (0, 0, 0)
    assert counted.reasons == {"MALFORMED": len(CODECS) * len(POISON)}
    assert world.workers[0].process.poll() is None


@pytest.mark.parametrize(
    "topic", ["transactions", "labels", "decisions", "transactions.dead-letter"]
)
async def test_the_topics_do_hold_batches_of_every_codec(world, topic):
    found = await codecs_in(world.broker.bootstrap, PREFIX + topic)
    assert found >= set(CODECS)


async def test_a_worker_started_again_reads_its_outputs_and_repeats_nothing(world):
    before = (await world.count(1)).outputs
    [worker] = world.workers
    worker.kill()
    worker.start()
    await worker.ready(times=2)
    await asyncio.to_thread(
        librdkafka_sends,
        *(world.broker.bootstrap, f"{PREFIX}transactions", 0),
        [transaction("after").SerializeToString()],
    )
    counted = await world.count(before + 1)
    assert not counted.lost(["after"])
    assert counted.outputs == before + 1


def test_the_archive_takes_them_and_the_store_is_rebuilt_from_it(world):
    taken = scoring(world, "archive")
    assert f"{len(CODECS) * EACH} labels, 0 events taken" in taken
    world.stop()  # nobody writes into a store that is rebuilt
    told = scoring(world, "rebuild", "--wipe")
    assert f"and {len(CODECS) * EACH} labels are back" in told


def test_tail_shows_them(world):
    count = 2 * EACH * len(CODECS)
    shown = scoring(
        *(world, "tail", "decisions", "--from-beginning", "--plain"),
        *("--count", count),
    )
    for producer in ("java", "librdkafka"):
        for codec in CODECS:
            assert id_of(producer, codec, EACH - 1) in shown


def test_challengers_judge_them(world, model_dir):
    registry = ModelRegistry(world.directory / "registry")
    version = manifest_from_json(
        (model_dir / MANIFEST_FILE).read_text(), name="bundle"
    ).version
    with registry.draft() as draft:
        shutil.copytree(model_dir, draft)
        registry.add(draft, version)
    words = ("--dir", registry.root, "--from-beginning", "--until-end")
    told = scoring(world, "shadow", version, *words)
    assert int(told.partition(" judged")[0].split()[-1]) >= 2 * EACH * len(CODECS)
    compared = scoring(
        world, "models", "compare", version, version, "--dir", registry.root
    )
    judged = len(CODECS) * EACH
    assert f'"rows": {judged}, "frauds": {judged}' in compared


def test_dead_letters_are_listed_and_sent_again(world):
    letters = len(CODECS) * len(POISON)
    assert f"MALFORMED: {letters}" in scoring(world, "dead-letters", "list")
    told = scoring(world, "dead-letters", "replay", "--yes")
    assert f"sent {letters} again" in told


def test_topics_check_samples_them(world):
    assert "of the newest" in scoring(world, "topics", "check")


def test_the_codecs_come_with_the_service_itself():
    needed = [r for r in requires("fraud-scoring") if r.startswith("aiokafka")]
    assert needed
    for one in needed:  # of each extra that reads Kafka
        assert one.startswith("aiokafka[lz4,snappy,zstd]<0.15,>=0.14;")
