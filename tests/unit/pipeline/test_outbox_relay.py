"""The way to the log: in order, again after a failure, by another after a crash."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
from store_parts import outbox_of

from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.errors import CorruptState, LogUnavailable, StoreUnavailable
from scoring.pipeline.outbox_relay import OutboxRelay
from scoring.ports.log import LogRecord
from scoring.ports.records import Recording
from scoring.stores.memory.log import MemoryLog
from scoring.stores.memory.store import MemoryStore
from scoring.telemetry.prometheus import SilentTelemetry

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


class Counting(SilentTelemetry):
    """Counts named events."""

    def __init__(self):
        self.counted = Counter()

    def count(self, event, n=1):
        self.counted[event] += n


@pytest.fixture
def telemetry():
    return Counting()


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
async def relay(store, log, telemetry):
    relay = OutboxRelay(
        outbox=store,
        log=log,
        record_of=lambda logged, _: LogRecord(
            topic="decisions", key=None, value=logged
        ),
        letter_of=lambda record, error: LogRecord(
            topic="letters",
            key=None,
            value=b"%s: %s" % (record.value[:9], str(error).encode()),
        ),
        telemetry=telemetry,
        count_max=3,
    )
    relay.start()
    yield relay
    await relay.close(within_s=1)


def values(log):
    return [record.value for record in log.of("decisions")]


async def test_a_published_decision_is_logged_and_leaves_the_outbox(relay, store, log):
    await store.record([recording()])
    await relay.publish(TRANSACTION, b"t1", provisional=False)
    await asyncio.sleep(0)
    assert values(log) == [b"t1"]
    async with asyncio.timeout(30):
        while await outbox_of(store):
            await asyncio.sleep(0.01)


async def test_decisions_that_follow_closely_share_an_append(relay, log):
    appended, send = [], log.send

    def counted(records):
        appended.append([record.value for record in records])
        return send(records)

    relay.log, relay.gather_s = SimpleNamespace(send=counted), 0.1
    first = relay.publish(TRANSACTION, b"a", provisional=True)
    await first
    rest = [
        relay.publish(TRANSACTION, value, provisional=True) for value in (b"b", b"c")
    ]
    await asyncio.sleep(0)
    assert appended == [[b"a"]], "the first waits for nobody, the next for each other"
    await asyncio.gather(*rest)
    assert appended == [[b"a"], [b"b", b"c"]]


async def test_what_is_logged_leaves_the_outbox_before_the_end(relay, store):
    cleared, clear = [], store.clear_outbox

    async def slowly(keys):
        await asyncio.sleep(0.05)
        await clear(keys)
        cleared.extend(keys)

    relay.outbox = SimpleNamespace(clear_outbox=slowly)
    await relay.publish(TRANSACTION, b"t1", provisional=False)
    await relay.close(within_s=1)
    assert cleared == [("default", "t1")]


async def test_decisions_wait_in_order_while_the_log_is_away(relay, log):
    log.available = False
    waiting = [
        relay.publish(TRANSACTION, value, provisional=True)
        for value in (b"a", b"b", b"c")
    ]
    await asyncio.sleep(0.05)
    assert values(log) == []
    log.available = True
    await asyncio.gather(*waiting)
    assert values(log) == [b"a", b"b", b"c"]


async def test_beyond_the_bound_a_decision_is_refused_at_once(relay, log):
    log.available = False
    for _ in range(3):
        relay.publish(TRANSACTION, b"x", provisional=True)
    with pytest.raises(LogUnavailable, match="wait for the log"):
        await relay.publish(TRANSACTION, b"y", provisional=True)
    log.available = True


async def test_what_a_dead_process_left_is_relayed_and_only_that(relay, store, log):
    await relay.relay_orphans()
    await store.record([recording("left")])
    assert await relay.relay_orphans() == 0
    assert await relay.relay_orphans() == 1
    assert values(log) == [b"left"]
    assert await outbox_of(store) == []


async def test_a_backlog_leaves_others_their_turns(relay, log):
    relay.count_max = 1_000
    turns, seen, send = 0, set(), log.send

    def noted(records):
        seen.add(turns)
        return send(records)

    relay.log = SimpleNamespace(send=noted)
    waiting = asyncio.gather(
        *(relay.publish(TRANSACTION, b"%d" % i, provisional=True) for i in range(500))
    )
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0)
    assert len(seen) > 10


async def test_one_that_waits_keeps_no_other_from_being_settled(relay, log):
    stuck, send = asyncio.get_running_loop().create_future(), log.send

    def but_one(records):
        return [stuck if r.value == b"a" else send([r])[0] for r in records]

    relay.log = SimpleNamespace(send=but_one)
    first = relay.publish(TRANSACTION, b"a", provisional=True)
    async with asyncio.timeout(5):
        await relay.publish(TRANSACTION, b"b", provisional=True)
    assert not first.done()
    stuck.set_result(None)
    await first


async def test_a_decision_that_the_log_refuses_becomes_a_letter_and_holds_up_nobody(
    relay, store, log, telemetry
):
    log.bytes_max = 400
    large = Recording(
        tenant="default",
        transaction_id="t1",
        payload_hash=b"h" * 32,
        decision=b"decision",
        logged=b"large" * 100,
    )
    await store.record([large])
    refused = relay.publish(TRANSACTION, large.logged, provisional=False)
    await relay.publish(TRANSACTION, b"next", provisional=True)
    await refused
    assert values(log) == [b"next"]
    (letter,) = log.of("letters")
    assert letter.value.startswith(b"largelarg: topic decisions does not take")
    assert telemetry.counted["log_refused"] == telemetry.counted["dead_letter"] == 1
    async with asyncio.timeout(5):
        while await outbox_of(store):
            await asyncio.sleep(0.01)


async def test_a_decision_whose_letter_is_refused_too_stays_in_the_outbox(
    relay, store, log, caplog
):
    await store.record([recording()])
    log.bytes_max = 0
    await relay.publish(TRANSACTION, b"t1", provisional=False)
    assert "default:t1 remains" in caplog.text
    for _ in range(6):
        await relay.relay_orphans()
    assert caplog.text.count("default:t1 remains") == 2, "once by the relay, too"
    assert len(await outbox_of(store)) == 1


async def test_an_outbox_that_could_not_be_cleared_is_cleared_and_never_relayed_twice(
    relay, store, log
):
    clear, away = store.clear_outbox, True

    async def fails_first(keys):
        if away:
            raise StoreUnavailable("for a moment")
        await clear(keys)

    store.clear_outbox = fails_first
    await store.record([recording()])
    await relay.publish(TRANSACTION, b"t1", provisional=False)
    for _ in range(3):
        assert await relay.relay_orphans() == 0
    away = False
    async with asyncio.timeout(5):
        while await outbox_of(store):
            await asyncio.sleep(0.01)
    assert values(log) == [b"t1"]


async def test_one_entry_that_cannot_be_read_keeps_no_other_from_the_log(
    relay, store, log, telemetry, caplog
):
    def read(logged, _):
        if logged == b"bad":
            raise CorruptState("it is no logged decision")
        return LogRecord(topic="decisions", key=None, value=logged)

    relay._orphans.record_of = read
    for id_ in ("one", "bad", "two"):
        await store.record([recording(id_)])
    await relay.relay_orphans()
    assert await relay.relay_orphans() == 2
    assert sorted(values(log)) == [b"one", b"two"]
    for _ in range(3):
        assert await relay.relay_orphans() == 0
    assert await outbox_of(store) == [("default", "bad", b"bad")]
    assert telemetry.counted["outbox_unreadable"] == 1, "it is said once"
    assert "default:bad cannot be read and remains" in caplog.text


async def test_all_that_was_left_is_appended_at_one_look(relay, store, log):
    for i in range(3_000):
        await store.record([recording(f"t{i}")])
    await relay.relay_orphans()
    assert await relay.relay_orphans() == 3_000
    assert len(set(values(log))) == 3_000
    assert await outbox_of(store) == []


async def test_of_two_processes_one_relays_orphans_and_after_its_end_the_other(
    relay, store, log, monkeypatch
):
    await relay.relay_orphans()
    other = OutboxRelay(
        outbox=store,
        log=log,
        record_of=relay.record_of,
        letter_of=relay.letter_of,
        telemetry=SilentTelemetry(),
        count_max=3,
    )
    await store.record([recording("left")])
    assert [await other.relay_orphans() for _ in range(3)] == [0, 0, 0]
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now + 60)
    assert [await other.relay_orphans() for _ in range(2)] == [0, 1]


async def test_a_log_that_was_away_lets_others_append_first(relay, store, log):
    """Their entries were found twice because they, too, could not append."""
    for i in range(100):
        await store.record([recording(f"t{i}")])
    await relay.relay_orphans()
    send, away = log.send, asyncio.Event()

    def late(records):
        return [asyncio.ensure_future(after(record)) for record in records]

    async def after(record):
        await away.wait()
        await send([record])[0]

    relay._orphans.log = SimpleNamespace(send=late)
    relaying = asyncio.create_task(relay.relay_orphans())
    await asyncio.sleep(2.1)
    assert not relaying.done()
    await store.clear_outbox(
        [("default", f"t{i}") for i in range(16, 100)]
    )  # by others
    away.set()
    assert await relaying <= 16
    assert len(values(log)) <= 16
