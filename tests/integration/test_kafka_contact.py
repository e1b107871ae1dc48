"""Clients of Kafka: patient without a broker, readers of what is committed."""

import ast
import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from stream_parts import create_topics

import scoring
from scoring.embedded.broker import embedded_broker
from scoring.kafka.startup_errors import reader

CONSUMER = AIOKafkaConsumer.__name__
SOURCES = [
    source
    for source in sorted(Path(scoring.__file__).parent.rglob("*.py"))
    if CONSUMER in source.read_text()
]


async def test_a_client_that_has_no_leader_does_not_run_hot_without_a_broker():
    """It asked 6,000 times a second, and logged two lines each time."""
    with embedded_broker() as bootstrap:
        await create_topics(bootstrap, "", partitions=1)
        opened = reader(bootstrap, {}, "transactions", auto_offset_reset="earliest")
        consumer = await opened.__aenter__()
        await consumer.getmany(timeout_ms=200)
    client, asked = consumer._client, 0
    update = client._metadata_update

    async def counted(*args):
        nonlocal asked
        asked += 1
        return await update(*args)

    client._metadata_update = counted
    known = client.cluster._partitions["transactions"]
    known[0] = known[0]._replace(leader=-1)
    await asyncio.sleep(2)
    await opened.__aexit__(None, None, None)
    assert 1 <= asked <= 10


def consumers_in(source: Path) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == CONSUMER
    ]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(call, id=f"{source.stem}-{call.lineno}")
        for source in SOURCES
        for call in consumers_in(source)
    ],
)
def test_every_consumer_reads_committed_records_only(call):
    told = {k.arg: k.value for k in call.keywords}
    assert ast.literal_eval(told["isolation_level"]) == "read_committed"
