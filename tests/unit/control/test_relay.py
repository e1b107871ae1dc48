"""The relay: what is committed reaches the topic in order, whatever fails."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.control.control_topic import Fenced
from scoring.control.database.outbox import OutboxRecord
from scoring.control.domain.topic_held import TopicHeld
from scoring.control.relay import Relay
from scoring.errors import BadArtifact, DatabaseUnavailable, LogUnavailable


@dataclass
class KeptOutbox:
    """The outbox in memory; `fails` holds what its next calls raise, None for none."""

    records: list = field(default_factory=list)
    marked: set = field(default_factory=set)
    fails: list = field(default_factory=list)

    def add(self, key, value):
        self.records.append(OutboxRecord(len(self.records) + 1, key, value))

    def _may_fail(self):
        if self.fails and (error := self.fails.pop(0)):
            raise error

    def unpublished(self, *, count_max):
        self._may_fail()
        waiting = [r for r in self.records if r.sequence not in self.marked]
        return waiting[:count_max]

    def published(self, sequences, *, at_ms):  # noqa: ARG002 - as it is called
        self._may_fail()
        self.marked |= set(sequences)


@dataclass
class KeptTopic:
    """The topic in memory, and what a reader takes of it."""

    appended: list = field(default_factory=list)
    fails: list = field(default_factory=list)
    begun: int = 0

    async def begin(self):
        self.begun += 1
        return TopicHeld()

    async def append(self, records):
        error = self.fails.pop(0) if self.fails else None
        if isinstance(error, str):  # acknowledged, and the answer was lost
            self.appended += records
            raise LogUnavailable(error)
        if error is not None:
            raise error
        self.appended += records

    async def end(self):
        pass

    def taken(self):
        """By the rule of readers: of each key, what is above the last sequence."""
        last, taken = {}, []
        for record in self.appended:
            if record.sequence > last.get(record.key, 0):
                last[record.key] = record.sequence
                taken.append(record)
        return taken


class FreeLease:
    held = True

    def hold(self):
        return True

    def let_go(self):
        self.held = False


def relay_of(outbox, topic, lease=None):
    return Relay(outbox, topic, lease or FreeLease(), lambda: 0, lambda *_: None)


async def until(condition, relay):
    running = asyncio.create_task(relay.run())
    try:
        async with asyncio.timeout(10):
            while not condition():
                relay.wake()
                await asyncio.sleep(0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    for name in ("_PAUSE_S", "_PAUSE_S_MAX"):
        monkeypatch.setattr(f"scoring.control.relay.{name}", 0.0)


FAULTS = st.lists(st.sampled_from([None, DatabaseUnavailable("no answer")]), max_size=8)
TOPIC_FAULTS = st.lists(
    st.sampled_from([None, LogUnavailable("no broker"), Fenced(), "lost answer"]),
    max_size=8,
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=3)), max_size=150),
    FAULTS,
    TOPIC_FAULTS,
)
def test_whatever_fails_each_record_is_taken_once_and_in_order(added, faults, refused):
    outbox, topic = KeptOutbox(fails=faults), KeptTopic(fails=refused)
    for key, value in added:
        outbox.add(key, value)
    relay = relay_of(outbox, topic)
    asyncio.run(until(lambda: len(outbox.marked) == len(added), relay))
    assert topic.taken() == outbox.records


async def test_a_commit_in_this_process_is_sent_without_waiting_for_a_poll(
    monkeypatch,
):
    monkeypatch.setattr("scoring.control.relay.POLL_S", 60.0)
    outbox, topic = KeptOutbox(), KeptTopic()
    relay = relay_of(outbox, topic)
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0.1)
    outbox.add("policy", b"1")
    relay.wake()
    async with asyncio.timeout(5):
        while not topic.appended:
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_does_not_have_the_lease_sends_nothing():
    outbox, topic = KeptOutbox(), KeptTopic()
    outbox.add("policy", b"1")
    lease = FreeLease()
    lease.hold = lambda: False
    looks = []
    lease.hold = lambda: bool(looks.append(1))
    await until(lambda: len(looks) > 3, relay_of(outbox, topic, lease))
    assert (topic.begun, topic.appended) == (0, [])


async def test_who_lost_the_lease_between_reading_and_sending_sends_nothing():
    outbox, topic = KeptOutbox(), KeptTopic()
    outbox.add("policy", b"1")
    lease = FreeLease()
    looks = []
    lease.hold = lambda: bool(looks.append(1)) or True
    relay = relay_of(outbox, topic, lease)
    relay.agree = lambda *_: setattr(lease, "held", False)
    await until(lambda: len(looks) > 3, relay)
    assert topic.begun == 1
    assert topic.appended == []


async def test_the_lease_is_renewed_while_a_large_topic_is_read(monkeypatch):
    monkeypatch.setattr("scoring.control.relay._HOLD_S", 0.0)
    outbox, topic = KeptOutbox(), KeptTopic()
    lease, looks = FreeLease(), []
    lease.hold = lambda: bool(looks.append(1)) or True
    begin = topic.begin

    async def slow():
        while len(looks) < 5:
            await asyncio.sleep(0)
        return await begin()

    topic.begin = slow
    relay = relay_of(outbox, topic, lease)
    await until(lambda: relay.relays, relay)
    assert topic.begun == 1


async def test_a_lease_that_is_lost_while_the_topic_is_read_ends_the_reading(
    monkeypatch,
):
    monkeypatch.setattr("scoring.control.relay._HOLD_S", 0.0)
    topic, lease, agreed = KeptTopic(), FreeLease(), []
    looks = []

    def hold():
        looks.append(1)
        lease.held = len(looks) % 2 == 1
        return lease.held

    async def never():
        await asyncio.Event().wait()

    lease.hold, topic.begin = hold, never
    relay = relay_of(KeptOutbox(), topic, lease)
    relay.agree = lambda *_: agreed.append(1)
    await until(lambda: len(looks) > 5, relay)
    assert agreed == []


async def test_a_database_that_went_back_is_compared_with_the_topic_again():
    outbox, topic = KeptOutbox(), KeptTopic()
    outbox.add("policy", b"1")
    relay, agreed = relay_of(outbox, topic), []
    relay.agree = lambda *_: agreed.append(1)
    await until(lambda: outbox.marked, relay)
    outbox.marked.clear()  # a copy from before has taken over
    relay.lease.held, relay._last, relay.relays = True, 1, True
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(5):
        while len(agreed) < 2:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_relay_that_was_fenced_begins_again_before_it_sends():
    outbox, topic = KeptOutbox(), KeptTopic(fails=[Fenced()])
    outbox.add("policy", b"1")
    await until(lambda: outbox.marked, relay_of(outbox, topic))
    assert topic.begun == 2


async def test_an_outage_is_a_fault_until_it_is_over():
    outbox, topic = KeptOutbox(), KeptTopic(fails=[LogUnavailable("no broker answers")])
    outbox.add("policy", b"1")
    relay = relay_of(outbox, topic)
    seen = []
    relay.topic.begin, begin = None, relay.topic.begin

    async def noted():
        seen.append(relay.fault)
        return await begin()

    relay.topic.begin = noted
    await until(lambda: outbox.marked and not relay.fault, relay)
    assert seen == ["", "no broker answers"]


async def test_a_broker_that_refuses_our_settings_is_a_fault_and_is_asked_again():
    outbox, topic = KeptOutbox(), KeptTopic()
    outbox.add("policy", b"1")
    relay = relay_of(outbox, topic)
    seen, begin = [], topic.begin

    async def refusing():
        seen.append(relay.fault)
        if len(seen) < 3:
            raise BadArtifact("AuthenticationFailed")
        return await begin()

    topic.begin = refusing
    await until(lambda: outbox.marked and not relay.fault, relay)
    assert seen[1:] == ["AuthenticationFailed"] * 2


async def test_who_ends_lets_another_copy_have_the_lease():
    lease = FreeLease()
    topic = KeptTopic()
    await until(lambda: topic.begun, relay_of(KeptOutbox(), topic, lease))
    assert not lease.held


async def test_a_failure_that_nobody_foresaw_is_a_fault_until_it_is_well_again():
    outbox = KeptOutbox(fails=[ZeroDivisionError("odd")])
    relay = relay_of(outbox, KeptTopic())
    with pytest.raises(ZeroDivisionError):
        await relay.run()
    assert "ZeroDivisionError('odd')" in relay.fault
    relay.lease = FreeLease()
    await until(lambda: not relay.fault, relay)
