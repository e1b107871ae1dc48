"""What is answered without the store, and when it is taken for back."""

import asyncio
import re
import time
from dataclasses import replace

import pytest
from store_parts import outbox_of

from scoring import wire
from scoring.core.decision.decision import DecisionCore, Door, Outcome, Versions
from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.errors import LogUnavailable, StoreUnavailable
from scoring.pipeline.circuit_breaker import Exchange
from scoring.pipeline.door_options import DoorOptions
from scoring.pipeline.outbox_relay import OutboxRelay
from scoring.pipeline.reconciler import Provisional, is_answer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.check import Check
from scoring.ports.log import LogRecord
from scoring.ports.records import Recording
from scoring.stores.memory.log import MemoryLog
from scoring.stores.memory.store import MemoryStore
from scoring.stores.spool import FileSpool, MemorySpool
from scoring.telemetry.prometheus import SilentTelemetry

CATALOGUE = default_catalogue()
PAID = Transaction("default", "t1", occurred_at_ms=1_700_000_000_000, card="c")
KEY = ("default", "t1")


def check(paid=PAID):
    return Check(
        transaction=paid,
        payload_hash=payload_hash(paid),
        received_at_ms=paid.occurred_at_ms,
        door=Door.GRPC,
    )


def answer(paid=PAID):
    """A provisional answer, as the scorer has it kept."""
    core = DecisionCore(
        tenant=paid.tenant,
        transaction_id=paid.id,
        payload_hash=payload_hash(paid),
        outcome=Outcome.REVIEW,
        score=None,
        margin=None,
        reasons=(),
        provisional=True,
        versions=Versions(model="m", policy="p", features="f"),
    )
    trace = wire.trace_to_bytes(
        check(paid),
        decided_at_ms=paid.occurred_at_ms,
        stages_us={},
        batch_size=1,
        processed_seq=0,
    )
    decision = wire.decision_to_bytes(wire.core_to_bytes(core), trace)
    return Recording(
        tenant=paid.tenant,
        transaction_id=paid.id,
        payload_hash=payload_hash(paid),
        decision=decision,
        logged=wire.logged_to_bytes(decision, check(paid)),
        transaction=paid,
        outcome=Outcome.REVIEW,
    )


class Parts(MemoryStore):
    """A store of several servers, of which all or one may be unavailable."""

    whole = True
    unavailable = False

    async def ping(self, **_):
        if self.unavailable:
            raise StoreUnavailable("planted")
        return self.whole


class Fitful(MemoryLog):
    """A log that can be taken away."""

    unavailable = False

    def send(self, records):
        if self.unavailable:
            raise LogUnavailable("planted")
        return super().send(records)


@pytest.fixture
def store():
    return Parts(CATALOGUE, lateness_ms=1_000, dedupe_ms=1_000_000)


@pytest.fixture
def log():
    return Fitful()


def provisional_on(store, spool):
    telemetry = SilentTelemetry()
    gateway = StoreGateway(store, telemetry, time.monotonic)
    return Provisional(gateway, spool, telemetry, 9)


def lose_the_store(provisional):
    unavailable = StoreUnavailable("planted")
    provisional.gateway.circuit.failed(Exchange.OBSERVE, unavailable)


class Process:
    """What of a server keeps answers and carries them to the log."""

    def __init__(self, store, log, directory):
        self.spool = FileSpool(
            directory,
            "live-0",
            re.compile(r"live-0.*\.spool"),
            bytes_max=10_000,
            whole=is_answer,
            damaged=lambda: None,
        )
        self.spool.open()
        self.provisional = provisional_on(store, self.spool)
        self.relay = OutboxRelay(
            outbox=store,
            log=log,
            record_of=lambda logged, _: LogRecord(topic="d", key=None, value=logged),
            letter_of=lambda record, _: record,
            telemetry=SilentTelemetry(),
            count_max=9,
            logged=self.provisional.logged,
        )

    def begin(self):
        self.relay.start()

    def give(self, recording):
        self.provisional.keep(check(recording.transaction), recording)
        self.relay.publish(recording.transaction, recording.logged, provisional=True)

    async def crash(self):
        """All that a killed process leaves is its spool, unlocked."""
        await self.relay.close(within_s=0)
        await self.provisional.close()


def answering_without_the_store(store, log, directory):
    """A process that has given one answer since it lost the store."""
    process = Process(store, log, directory)
    process.begin()
    lose_the_store(process.provisional)
    process.give(answer())
    return process


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_was_reconciled_and_never_logged_stands_in_the_outbox(
    store, log, tmp_path
):
    log.unavailable = store.unavailable = True
    process = answering_without_the_store(store, log, tmp_path)
    store.unavailable = False
    await until(lambda: process.provisional.count == 0)
    await process.crash()
    assert await outbox_of(store) == [(*KEY, answer().logged)]
    assert list(tmp_path.iterdir()) == [], "the spool was cleared by then"


async def test_what_was_logged_meanwhile_is_not_carried_to_the_log_again(
    store, log, tmp_path
):
    store.unavailable = True
    process = answering_without_the_store(store, log, tmp_path)
    await until(lambda: log.of("d"))
    store.unavailable = False
    await until(lambda: process.provisional.count == 0)
    assert await outbox_of(store) == []
    await process.crash()


async def test_what_is_logged_after_it_was_reconciled_leaves_the_outbox(
    store, log, tmp_path
):
    log.unavailable = store.unavailable = True
    process = answering_without_the_store(store, log, tmp_path)
    store.unavailable = False
    await until(lambda: process.provisional.count == 0)
    assert await outbox_of(store)
    log.unavailable = False
    await until(lambda: log.of("d"))
    async with asyncio.timeout(20):
        while await outbox_of(store):
            await asyncio.sleep(0.01)
    assert len(log.of("d")) == 1
    await process.crash()


async def test_what_is_logged_while_it_is_reconciled_leaves_the_outbox(
    store, log, tmp_path
):
    process = Process(store, log, tmp_path)
    reconcile = store.reconcile

    async def meanwhile(*args):
        told = await reconcile(*args)
        process.provisional.logged(KEY)
        return told

    store.reconcile = meanwhile
    process.give(answer())
    await until(lambda: process.provisional.count == 0)
    async with asyncio.timeout(20):
        while await outbox_of(store):
            await asyncio.sleep(0.01)
    await process.crash()


async def test_without_a_log_nothing_is_put_into_the_outbox(store, log, tmp_path):
    process = Process(store, log, tmp_path)
    process.provisional.options = DoorOptions(outbox=False)
    process.give(answer())
    await until(lambda: process.provisional.count == 0)
    assert await outbox_of(store) == []
    await process.crash()


async def test_an_reconciled_decision_is_final_and_else_what_was_answered(
    store, log, tmp_path
):
    process = Process(store, log, tmp_path)
    given = answer()
    process.give(given)
    (repeat,) = process.provisional.answers([check()])
    assert repeat.decision == given.decision, (
        "provisional as long as it is not recorded"
    )
    await until(lambda: process.provisional.count == 0)
    (recorded,) = await store.decisions([KEY])
    final = wire.decision_from_bytes(recorded)
    assert not final.core.provisional
    final.core.provisional = True
    assert final == wire.decision_from_bytes(given.decision)
    await process.crash()


async def test_a_spool_is_taken_over_by_the_next_process(store, log, tmp_path):
    log.unavailable = store.unavailable = True
    first = Process(store, log, tmp_path)
    lose_the_store(first.provisional)
    given = [answer(replace(PAID, id=f"t{i}")) for i in range(5)]
    for one in given:
        first.give(one)
    await first.crash()
    heir = Process(store, log, tmp_path)
    await heir.provisional.start()
    (repeat,) = heir.provisional.answers([check(given[3].transaction)])
    assert repeat.decision == given[3].decision
    store.unavailable = False
    await until(lambda: heir.provisional.count == 0)
    found = await outbox_of(store)
    assert sorted(logged for *_, logged in found) == [one.logged for one in given]
    await heir.crash()
    assert list(tmp_path.iterdir()) == []


async def test_where_the_spool_takes_nothing_an_answer_is_reconciled_all_the_same(
    store,
):
    provisional = provisional_on(store, MemorySpool(count_max=0))
    assert not provisional.keep(check(), answer())
    await until(lambda: provisional.count == 0)
    assert await store.decisions([KEY]) != [None]
    await provisional.close()


async def test_a_part_that_is_back_is_used_and_reconciliation_waits_for_the_rest(store):
    store.whole = False
    provisional = provisional_on(store, MemorySpool(count_max=9))
    lose_the_store(provisional)
    provisional.keep(check(), answer())
    while not provisional.store_available:
        await asyncio.sleep(0.01)
    assert provisional.count == 1
    assert await store.decisions([KEY]) == [None]
    store.whole = True
    while provisional.count:
        await asyncio.sleep(0.01)
    assert await store.decisions([KEY]) != [None]
    await provisional.close()


async def test_a_sibling_takes_over_from_a_process_that_ends_meanwhile(
    store, log, tmp_path, monkeypatch
):
    monkeypatch.setattr("scoring.pipeline.reconciler._TAKE_OVER_INTERVAL_S", 0.02)
    log.unavailable = store.unavailable = True
    sibling, other = (Process(store, log, tmp_path) for _ in range(2))
    await sibling.provisional.start()
    other.provisional.keep(check(), answer())
    await asyncio.sleep(0.1)
    assert sibling.provisional.count == 0, "nobody takes from the living"
    await other.crash()
    await until(lambda: sibling.provisional.count == 1)
    store.unavailable = False
    await until(lambda: sibling.provisional.count == 0)
    assert await outbox_of(store) == [(*KEY, answer().logged)]
    await sibling.crash()
