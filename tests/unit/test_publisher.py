"""The way to the log: in order, again after a failure, swept after a crash."""

import asyncio
from types import SimpleNamespace

import pytest

from scoring.adapters.memory_log import MemoryLog
from scoring.adapters.memory_store import MemoryStore
from scoring.adapters.telemetry import SilentTelemetry
from scoring.core.catalogue import default_catalogue
from scoring.core.transaction import Transaction
from scoring.errors import LogUnavailable
from scoring.ports import LogRecord, Recording
from scoring.publisher import Publisher

TRANSACTION = Transaction("default", "t1", currency="EUR", card="card-1")
DAY_MS = 86_400_000


def recording(id_="t1"):
    return Recording(
        tenant="default",
        transaction_id=id_,
        payload_hash=b"h" * 32,
        decision=b"decision",
        logged=id_.encode(),
    )


@pytest.fixture
def store():
    return MemoryStore(default_catalogue(), lateness_ms=DAY_MS, dedupe_ms=8 * DAY_MS)


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
async def publisher(store, log):
    publisher = Publisher(
        store=store,
        log=log,
        record_of=lambda logged, _: LogRecord(
            topic="decisions", key=None, value=logged
        ),
        telemetry=SilentTelemetry(),
        count_max=3,
    )
    publisher.start()
    yield publisher
    await publisher.close(within_s=1)


def values(log):
    return [record.value for record in log.of("decisions")]


async def test_a_published_decision_is_logged_and_leaves_the_outbox(
    publisher, store, log
):
    await store.record([recording()])
    await publisher.publish(TRANSACTION, b"t1", provisional=False)
    await asyncio.sleep(0)
    assert values(log) == [b"t1"]
    async with asyncio.timeout(30):
        while await store.outbox(count_max=9):
            await asyncio.sleep(0.01)


async def test_decisions_that_follow_closely_share_an_append(publisher, log):
    appended, append = [], log.append

    async def counted(records):
        appended.append([record.value for record in records])
        await append(records)

    publisher.log, publisher.gather_s = SimpleNamespace(append=counted), 0.1
    first = publisher.publish(TRANSACTION, b"a", provisional=True)
    await first
    rest = [
        publisher.publish(TRANSACTION, value, provisional=True)
        for value in (b"b", b"c")
    ]
    await asyncio.sleep(0)
    assert appended == [[b"a"]], "the first waits for nobody, the next for each other"
    await asyncio.gather(*rest)
    assert appended == [[b"a"], [b"b", b"c"]]


async def test_what_is_logged_leaves_the_outbox_before_the_end(publisher, store):
    cleared, published = [], store.published

    async def slowly(keys):
        await asyncio.sleep(0.05)
        await published(keys)
        cleared.extend(keys)

    publisher.store = SimpleNamespace(published=slowly, outbox=store.outbox)
    await publisher.publish(TRANSACTION, b"t1", provisional=False)
    await publisher.close(within_s=1)
    assert cleared == [("default", "t1")]


async def test_decisions_wait_in_order_while_the_log_is_away(publisher, log):
    log.available = False
    waiting = [
        publisher.publish(TRANSACTION, value, provisional=True)
        for value in (b"a", b"b", b"c")
    ]
    await asyncio.sleep(0.05)
    assert values(log) == []
    log.available = True
    await asyncio.gather(*waiting)
    assert values(log) == [b"a", b"b", b"c"]


async def test_beyond_the_bound_a_decision_is_refused_at_once(publisher, log):
    log.available = False
    for _ in range(3):
        publisher.publish(TRANSACTION, b"x", provisional=True)
    with pytest.raises(LogUnavailable, match="wait for the log"):
        await publisher.publish(TRANSACTION, b"y", provisional=True)
    log.available = True


async def test_a_sweep_logs_what_a_dead_process_left_and_only_then(
    publisher, store, log
):
    await publisher.sweep()
    await store.record([recording("left")])
    assert await publisher.sweep() == 0
    assert await publisher.sweep() == 1
    assert values(log) == [b"left"]
    assert await store.outbox(count_max=9) == []
