"""Challengers on both brokers: they record, are compared, and answer nobody."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer
from stream_parts import NOW_MS, TOPICS, create_topics

from scoring import wire
from scoring.core.decision.decision import Door, Versions
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.shipped_policy import default_policy
from scoring.core.transaction.label import Label, LabelSource, Verdict
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.doors.stream.shadow_comparison import Rivals
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics
from scoring.models.onnx_model import load_model
from scoring.models.registry import ModelRegistry
from scoring.ports.check import Check
from scoring.ports.log import LogRecord
from scoring.training.build import Recipe, train_on
from scoring.training.dataset import DAY_MS, Dataset
from scoring.training.fit import Boosting
from scoring.v1.decision_pb2 import Decision

CATALOGUE = default_catalogue()
POLICY = default_policy(CATALOGUE)
COUNT = 40
ROWS = np.random.default_rng(7).normal(size=(COUNT, len(CATALOGUE.names)))
ROWS = (2 * ROWS).astype(np.float32)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> ModelRegistry:
    """A champion and a challenger, taught on noise of two kinds."""
    registry = ModelRegistry(tmp_path_factory.mktemp("registry"))
    for column in (0, 1):
        with registry.draft() as draft:
            manifest = train_on(
                noise(column),
                draft,
                catalogue=CATALOGUE,
                recipe=Recipe(boosting=Boosting(rounds=20), label_delay_ms=0),
            )
            registry.add(draft, manifest.version)
    return registry


def noise(column: int) -> Dataset:
    """Rows whose fraud rises with one feature."""
    rng, rows = np.random.default_rng(column), 4_000
    matrix = rng.normal(size=(rows, len(CATALOGUE.names))).astype(np.float32)
    return Dataset(
        names=CATALOGUE.names,
        matrix=matrix,
        fraud=rng.random(rows) < 1 / (1 + np.exp(3 - 2 * matrix[:, column])),
        occurred_at_ms=1_700_000_000_000 + np.sort(rng.integers(0, 20 * DAY_MS, rows)),
        customers=rng.integers(0, 500, rows),
        amount_minor=rng.integers(1, 10_000, rows),
    )


def payment(i: int) -> Transaction:
    return Transaction(
        "default", f"t{i}", occurred_at_ms=NOW_MS, amount_minor=1_000,
        currency="EUR", card=f"card-{i}", customer=f"customer-{i}",
    )  # fmt: skip


def logged(model, i: int) -> LogRecord:
    """What the champion's door would append for one payment."""
    scores = model.predict(ROWS[i : i + 1])
    evidence = Evidence(
        vector=ROWS[i],
        margin=float(scores.margin[0]),
        probability=float(scores.probability[0]),
        contributions=scores.contributions[0],
        reason_groups=model.reason_groups,
        versions=Versions(model.version, POLICY.version, CATALOGUE.version),
    )
    transaction = payment(i)
    digest = payload_hash(transaction)
    core = decide(transaction, digest, policy=POLICY, evidence=evidence)
    check = Check(
        transaction=transaction,
        payload_hash=digest,
        received_at_ms=NOW_MS,
        door=Door.KAFKA,
    )
    trace = wire.trace_to_bytes(
        check, decided_at_ms=NOW_MS, stages_us={}, batch_size=1, processed_seq=i
    )
    decision = wire.decision_to_bytes(wire.core_to_bytes(core), trace)
    return record("decisions", wire.logged_to_bytes(decision, check), i)


def truth(i: int, *, fraud: bool) -> LogRecord:
    label = Label(
        tenant="default",
        transaction_id=f"t{i}",
        version=1,
        verdict=Verdict.FRAUD if fraud else Verdict.LEGITIMATE,
        known_at_ms=NOW_MS,
        source=LabelSource.CHARGEBACK,
    )
    return record("labels", wire.label_to_proto(label).SerializeToString(), i)


def record(topic: str, value: bytes, i: int) -> LogRecord:
    headers = (("content-type", wire.PROTOBUF.encode()),)
    return LogRecord(
        topic=topic, key=b"card", value=value, headers=headers, partition=i % 4
    )


@pytest.fixture
async def topics(broker, topic_prefix):
    await create_topics(
        broker.bootstrap, topic_prefix, names=(*TOPICS, "decisions.challenger")
    )
    return Topics(topic_prefix)


async def append(broker, topics: Topics, records: list[LogRecord]) -> None:
    log = await KafkaLog.connect(broker.bootstrap)
    named = [replace(one, topic=f"{topics.prefix}{one.topic}") for one in records]
    await log.append(named)
    await log.close()


async def shadowed(
    broker, topics: Topics, registry: ModelRegistry, *versions: str
) -> str:
    """Run `scoring shadow` over everything decided so far; what it printed."""
    arguments = ("shadow", *versions, "--from-beginning", "--until-end")
    return await scoring(broker, topics, registry, *arguments)


async def scoring(
    broker, topics: Topics, registry: ModelRegistry, *arguments: str
) -> str:
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "scoring", *arguments, "--dir", registry.root],
        env={**os.environ, "SCORING_KAFKA_BOOTSTRAP": broker.bootstrap,
             "SCORING_TOPIC_PREFIX": topics.prefix},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return ran.stdout + ran.stderr


async def challenged(broker, topics: Topics, count: int) -> list[Decision]:
    """The challengers' decisions, read by a consumer of the test's own."""
    consumer = AIOKafkaConsumer(
        topics.challenger,
        bootstrap_servers=broker.bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    found = []
    while len(found) < count:
        found.append(Decision.FromString((await consumer.getone()).value))
    await consumer.stop()
    return found


def models(registry: ModelRegistry):
    versions = [manifest.version for manifest in registry.versions()]
    champion = registry.promoted()
    [challenger] = set(versions) - {champion}
    return [load_model(registry.path(version)) for version in (champion, challenger)]


async def test_challengers_record_their_own_scores_and_are_compared(
    broker, topics, registry
):
    champion, challenger = models(registry)
    own = champion.predict(ROWS).margin
    frauds = own > np.median(own)
    await append(
        broker,
        topics,
        [logged(champion, i) for i in range(COUNT)]
        + [truth(i, fraud=bool(frauds[i])) for i in range(COUNT)],
    )
    told = await shadowed(
        broker, topics, registry, champion.version, challenger.version
    )
    assert f"{2 * COUNT} judged, 0 passed over" in told

    found = await challenged(broker, topics, 2 * COUNT)
    margins = {
        int(d.core.transaction_id[1:]): d.core.margin
        for d in found
        if d.core.versions.model == challenger.version
    }
    expected = challenger.predict(ROWS).margin
    assert [margins[i] for i in range(COUNT)] == expected.tolist()
    assert not any(d.core.features or d.HasField("transaction") for d in found)

    versions = (champion.version, challenger.version)
    shown = await scoring(broker, topics, registry, "models", "compare", *versions)
    line = json.loads(shown.splitlines()[-1])
    assert line["transactions"] == COUNT
    assert line[champion.version]["auc"] == 1.0  # the truth was made of its margins
    assert line[challenger.version]["auc"] < 1.0
    assert line["agreement"] == 1 - sum(line["changes"].values()) / COUNT

    rivals = Rivals(bootstrap=broker.bootstrap, client={}, topics=topics)
    span = {"since_ms": 0, "until_ms": 2**60}
    both = await rivals.compared(champion.version, challenger.version, **span)
    assert len(both) == COUNT
    assert [said.margin for said in both.first] != [s.margin for s in both.second]
    assert sum(fraud is True for fraud in both.frauds) == frauds.sum()
    same = await rivals.compared(champion.version, champion.version, **span)
    assert same.agreement == 1.0


async def test_a_vector_of_other_definitions_is_passed_over_and_counted(
    broker, topics, registry
):
    champion, challenger = models(registry)
    one = Decision.FromString(logged(champion, 0).value)
    one.core.versions.features = "other"
    await append(
        broker,
        topics,
        [
            logged(champion, 1),
            record("decisions", one.SerializeToString(), 0),
            record("decisions", b"\xffno decision", 2),
        ],
    )
    told = await shadowed(broker, topics, registry, challenger.version)
    assert "1 judged, 2 passed over" in told


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_without_its_topic_a_shadow_names_the_remedy(
    broker, topic_prefix, registry
):
    await create_topics(broker.bootstrap, topic_prefix)
    version = registry.promoted()
    told = await shadowed(broker, Topics(topic_prefix), registry, version)
    assert "decisions.challenger" in told
    assert "scoring topics create" in told
