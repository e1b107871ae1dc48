"""A decision that its topic never takes becomes a dead letter, at both doors.

On a real Apache Kafka, whose topic takes less than one decision has.
"""

import asyncio

import grpc
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from grpc_parts import SERVICE, payment, request
from served import serving
from stream_bench import StreamBench
from stream_parts import Input, count, create_topics, transaction

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
BYTES_MAX = 5_000  # several decisions, and not one with these attributes
LARGE = {f"key-{i}": "x" * 250 for i in range(30)}
OTHERS = 60


@pytest.fixture
async def prefix(kafka_bootstrap, topic_prefix):
    limit = {"max.message.bytes": str(BYTES_MAX)}
    decisions = NewTopic(f"{topic_prefix}decisions", 4, 1, topic_configs=limit)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([decisions])
    await admin.close()
    await create_topics(kafka_bootstrap, topic_prefix)
    return topic_prefix


def judged(counted, sent, large):
    assert set(counted.decisions) == set(sent) - {large}
    assert counted.duplicated == 0
    assert counted.reasons == {"REFUSED": 1}
    (letter,) = counted.letters
    assert "MessageSizeTooLargeError" in letter.message
    return letter


async def test_of_the_grpc_door(
    kafka_bootstrap, prefix, own_store, model_dir, tmp_path
):
    settings = {
        "redis_url": own_store.url,
        "kafka_bootstrap": kafka_bootstrap,
        "topic_prefix": prefix,
        "model_dir": model_dir,
        "state_dir": tmp_path / "state",
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
        "reply_after": "log",
    }
    sent = [payment() for _ in range(OTHERS)]
    sent.insert(OTHERS // 2, large := payment(attributes=LARGE))
    with serving(**settings) as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            check = channel.unary_unary(SERVICE + "CheckTransaction")
            await asyncio.gather(
                *(check(request(p).SerializeToString(), timeout=30) for p in sent)
            )
        assert served.stop() == 0
    counted = await count(kafka_bootstrap, prefix, until=len(sent))
    letter = judged(counted, [p.id for p in sent], large.id)
    assert letter.topic == f"{prefix}decisions"
    assert letter.value_size_bytes > BYTES_MAX
    assert not letter.cut, "it can be sent again once the topic takes it"


async def test_of_the_stream_door(
    kafka_bootstrap, prefix, own_store, model_dir, tmp_path
):
    class Broker:
        bootstrap, embedded = kafka_bootstrap, False
        fetch_wait_ms, session_timeout_s = 100, 3.0

    bench = StreamBench(Broker, own_store, prefix, model_dir, tmp_path)
    sent = [transaction(f"t{i}") for i in range(OTHERS)]
    sent.insert(OTHERS // 2, large := transaction("t999", attributes=LARGE))
    try:
        worker = await bench.worker().ready()
        await bench.send([Input.of(t) for t in sent])
        letter = judged(await bench.count(len(sent)), [t.id for t in sent], large.id)
        assert letter.topic == f"{prefix}transactions"
        await bench.send([Input.of(transaction("t1000"))])
        assert "t1000" in (await bench.count(len(sent) + 1)).decisions
        assert worker.process.poll() is None
        assert worker.terminate() == 0
    finally:
        bench.stop()
