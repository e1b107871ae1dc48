"""What we override of faust-streaming: each private name, and what it must do.

When an upgrade of the library breaks one of these, its test says which and why.
"""

import asyncio
import inspect
from types import SimpleNamespace

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from faust.transport import conductor, consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from scoring.doors.stream.faust_app import StreamOptions, poll_app
from scoring.doors.stream.fetch_thread import Fetched, PollThread
from scoring.doors.stream.poll_consumer import (
    Poll,
    PollApp,
    PollConsumer,
    PollTransport,
    WholePolls,
)
from scoring.kafka.topic_names import Topics

PLACE = TP("transactions", 0)


def records(first: int, last: int) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(offset=n, timestamp=1_000, timestamp_type=0)
        for n in range(first, last + 1)
    ]


@pytest.fixture
async def app(tmp_path) -> PollApp:
    return poll_app(
        StreamOptions(
            bootstrap="127.0.0.1:1",
            group="group",
            topics=Topics(),
            client={},
            fetch_wait_ms=7,
            session_timeout_s=6.0,
            commit_interval_s=1.0,
            poll_records_max=500,
            content_type="application/json",
            message_bytes_max=1_000_000,
            skew_ms=0,
            exempt=frozenset(),
            directory=tmp_path,
        )
    )


@pytest.fixture
async def polls(app) -> PollConsumer:
    assert isinstance(app.consumer, PollConsumer)
    return app.consumer


def delivered(polls: PollConsumer, first: int, last: int) -> Poll:
    message = polls._to_message(PLACE, records(first, last))
    assert message.offset == last
    return message.value


def test_the_version_is_the_one_that_was_read():
    assert faust.__version__ == "0.15.3"


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["transport"]),
        (driver.Consumer, "_new_consumer_thread", []),
        (driver.Consumer, "_to_message", ["tp", "record"]),
        (consumer.Consumer, "_new_offset", ["tp"]),
        (consumer.Consumer, "_filter_tps_with_pending_acks", ["topics"]),
        (consumer.Consumer, "_add_gap", ["tp", "offset_from", "offset_to"]),
        (consumer.Consumer, "on_buffer_full", ["tp"]),
        (consumer.Consumer, "_should_commit", ["tp", "offset"]),
        (
            consumer.ThreadDelegateConsumer,
            "_getmany",
            ["active_partitions", "timeout"],
        ),
        (
            driver.AIOKafkaConsumerThread,
            "_fetch_records",
            ["consumer", "active_partitions", "timeout", "max_records"],
        ),
        (consumer.Consumer, "on_partitions_revoked", ["revoked"]),
        (consumer.Consumer, "perform_seek", []),
        (consumer.Consumer, "seek", ["partition", "offset"]),
        (faust.App, "_new_transport", []),
    ],
)
def test_the_library_still_has_what_we_override(owner, name, parameters):
    assert list(inspect.signature(getattr(owner, name)).parameters)[1:] == parameters


def test_the_library_still_calls_what_we_override():
    source = inspect.getsource(consumer.Consumer)
    assert "self.scheduler.iterate(records)" in source
    assert "to_message = self._to_message" in source
    assert "self._new_offset(tp)" in source
    assert "self._should_commit(tp, offset)" in source
    assert "records = await self._getmany(" in source
    assert "get_read_offset = self._read_offset.__getitem__" in source
    assert "self._fetch_records," in inspect.getsource(driver.AIOKafkaConsumerThread)
    assert "self._filter_tps_with_pending_acks(topics)" in source
    assert "await self._add_gap(" in source
    assert "on_buffer_full" in inspect.getsource(conductor.ConductorCompiler)
    assert "self._new_consumer_thread()" in inspect.getsource(
        consumer.ThreadDelegateConsumer
    )
    assert "self._create_worker_consumer(" in inspect.getsource(
        driver.AIOKafkaConsumerThread
    )
    assert "_fetch_max_wait_ms" in inspect.getsource(AIOKafkaConsumer)
    started = inspect.getsource(AIOKafkaConsumer.start)
    assert "isolation_level=self._isolation_level" in started
    assert "auto_offset_reset=self._auto_offset_reset" in started


async def test_the_app_uses_our_transport_consumer_and_thread(app, polls):
    assert isinstance(app.transport, PollTransport)
    assert isinstance(polls._thread, PollThread)
    assert isinstance(polls.scheduler, WholePolls)
    assert app.polls is polls


async def test_the_long_poll_is_ours_and_not_a_second_and_a_half(app, polls):
    made = polls._thread._create_worker_consumer(app.transport)
    assert made._fetch_max_wait_ms == 7
    assert made._max_poll_records == 500
    assert made._enable_auto_commit is False
    assert made._isolation_level == "read_committed"
    assert made._auto_offset_reset == "none"


async def test_a_minute_without_a_refusal_ends_what_counts_as_away(polls, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr("scoring.doors.stream.fetch_thread.time.monotonic", lambda: now)
    assert not polls.unavailable()
    polls._thread._failed()
    assert polls.unavailable()
    now += 60
    assert not polls.unavailable()


async def test_a_poll_passes_the_decoding_of_raw_bytes_untouched(app):
    topic = app.topic("t", key_type=bytes, value_type=bytes, key_serializer="raw")
    poll = Poll(PLACE, records(0, 1))
    message = SimpleNamespace(key=None, value=poll, headers=None)
    event = await topic.decode(message)
    assert event.value is poll


async def test_one_item_a_partition_carries_all_its_records():
    other = TP("transactions", 1)
    made = dict(WholePolls().iterate({PLACE: records(0, 9), other: []}))
    assert list(made) == [PLACE]
    assert len(made[PLACE]) == 10


async def test_the_commit_is_behind_the_last_poll_finished_without_a_gap(polls):
    first, second, third = (
        delivered(polls, 0, 9),
        delivered(polls, 10, 19),
        delivered(polls, 20, 29),
    )
    assert polls._new_offset(PLACE) is None
    third.finished = second.finished = True
    assert polls._new_offset(PLACE) is None
    first.finished = True
    assert polls._new_offset(PLACE) == 30
    assert polls._new_offset(PLACE) is None


async def test_a_first_poll_of_one_record_at_offset_zero_does_not_stick(polls):
    delivered(polls, 0, 0).finished = True
    assert polls._new_offset(PLACE) == 1
    delivered(polls, 1, 65).finished = True
    assert polls._new_offset(PLACE) == 66


async def test_a_marker_behind_the_last_poll_is_committed_with_it(polls):
    polls._reached[PLACE] = 12
    poll = delivered(polls, 0, 9)
    assert polls._new_offset(PLACE) is None
    poll.finished = True
    assert polls._new_offset(PLACE) == 12


async def test_nothing_is_committed_beyond_what_was_fetched_and_is_no_poll_yet(polls):
    polls._reached[PLACE], polls._handed[PLACE] = 20, 10
    delivered(polls, 0, 9).finished = True
    polls._handed[PLACE] = 10
    assert polls._new_offset(PLACE) == 10
    assert polls._new_offset(PLACE) is None
    delivered(polls, 10, 17).finished = True
    assert polls._new_offset(PLACE) == 20


async def fetch(polls, monkeypatch, first: int, last: int, *, reached: int, meanwhile):
    async def getmany(*_):
        meanwhile()
        return Fetched({PLACE: records(first, last)}, {PLACE: reached})

    monkeypatch.setattr(polls._thread, "getmany", getmany)
    return await polls._getmany({PLACE}, 1.0)


async def test_a_fetch_says_how_far_it_reached(polls, monkeypatch):
    fetched = await fetch(polls, monkeypatch, 0, 9, reached=12, meanwhile=lambda: None)
    assert list(fetched) == [PLACE]
    assert (polls._handed, polls._reached) == ({PLACE: 0}, {PLACE: 12})


async def test_a_fetch_from_before_a_revocation_reached_nothing(polls, monkeypatch):
    """Its offset would commit polls that were revoked and never judged."""
    await fetch(polls, monkeypatch, 0, 9, reached=12, meanwhile=polls._revoke_all)
    assert polls._reached == {}


async def test_records_below_the_last_poll_are_delivered_and_looked_up_anew(polls):
    """Stock Faust drops them: what took the place of a truncated end would be lost."""
    before = delivered(polls, 90, 99)
    again = delivered(polls, 80, 95)
    assert again.epoch > before.epoch
    assert polls._read_offset[PLACE] is None
    polls._committed_offset[PLACE] = 100
    assert polls._should_commit(PLACE, 96)


async def test_what_faust_acknowledged_is_neither_progress_nor_kept(polls):
    delivered(polls, 0, 9)
    polls._acked[PLACE] = [9]
    polls._acked_index[PLACE] = {9}
    assert polls._new_offset(PLACE) is None
    assert PLACE not in polls._acked
    assert PLACE not in polls._acked_index


async def test_partitions_with_polls_are_asked_for_their_offset(polls):
    delivered(polls, 0, 9)
    assert list(polls._filter_tps_with_pending_acks()) == [PLACE]
    assert list(polls._filter_tps_with_pending_acks({"transactions"})) == [PLACE]
    assert list(polls._filter_tps_with_pending_acks({"labels"})) == []


async def test_a_full_queue_never_makes_faust_sleep(polls):
    polls._active_partitions = {PLACE}
    polls.on_buffer_full(PLACE)
    assert polls._get_active_partitions() == {PLACE}


async def test_a_poll_is_no_gap(polls):
    await polls._add_gap(PLACE, 1, 9)
    assert not polls._gap[PLACE]


async def test_settling_waits_for_running_polls_commits_them_and_revokes_the_rest(
    polls, monkeypatch
):
    commits = []

    async def commit(*_, **__):
        commits.append(polls._new_offset(PLACE))

    monkeypatch.setattr(polls, "commit", commit)
    running, waiting = delivered(polls, 0, 9), delivered(polls, 10, 19)
    running.idle.clear()
    settling = asyncio.ensure_future(polls.settle())
    await asyncio.sleep(0)
    assert not settling.done()
    running.finished = True
    running.idle.set()
    await settling
    assert commits == [10]
    assert waiting.revoked
    assert not polls._pending


async def test_a_seek_forgets_what_is_on_its_way(polls, monkeypatch):
    async def seek(*_):
        return None

    monkeypatch.setattr(polls, "_seek", seek)
    before = delivered(polls, 0, 9)
    await polls.seek(PLACE, 0)
    assert before.revoked
    before.finished = True
    assert polls._new_offset(PLACE) is None
    assert delivered(polls, 0, 9).epoch > before.epoch


@pytest.fixture
async def member(polls, monkeypatch):
    """The consumer as a member that has read to 70, with nothing committed of `NEW`."""
    new = TP("transactions", 1)
    moved: dict[TP, int] = {}

    async def committed(*_):
        return {PLACE: 40, new: None}

    async def earliest(*places):
        return dict.fromkeys(places, 12)

    async def move(place, offset):
        moved[place] = offset

    monkeypatch.setattr(polls, "seek_to_committed", committed)
    monkeypatch.setattr(polls, "earliest_offsets", earliest)
    monkeypatch.setattr(polls, "_seek", move)
    monkeypatch.setattr(polls, "assignment", lambda: {PLACE, new})
    polls._read_offset.update({PLACE: 70, new: 70})
    return SimpleNamespace(polls=polls, new=new, moved=moved)


async def test_a_partition_without_a_commit_goes_back_to_its_first_record(member):
    """Stock Faust leaves it where it has read to: those records would be lost."""
    await member.polls.perform_seek()
    assert member.moved == {member.new: 12}
    assert member.polls._read_offset == {PLACE: 40, member.new: 12}


async def test_a_commit_that_expired_or_was_reset_is_not_remembered(
    member, monkeypatch
):
    async def reset(*_):
        return {PLACE: 0, member.new: None}

    monkeypatch.setattr(member.polls, "seek_to_committed", reset)
    member.polls._committed_offset.update({PLACE: 40, member.new: 30})
    await member.polls.perform_seek()
    assert member.moved == {PLACE: 12, member.new: 12}


async def test_what_was_delivered_before_the_seek_counts_for_nothing(member):
    before = delivered(member.polls, 40, 69)
    await member.polls.perform_seek()
    assert before.revoked
    before.finished = True
    assert member.polls._new_offset(PLACE) is None
    assert delivered(member.polls, 40, 69).epoch > before.epoch


def test_the_library_still_seeks_by_what_is_committed():
    source = inspect.getsource(consumer.Consumer.perform_seek)
    assert "await self.seek_to_committed()" in source
    assert "read_offset.update(" in source
    assert "await self.perform_seek()" in inspect.getsource(consumer.Consumer)
