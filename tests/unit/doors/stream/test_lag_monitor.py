"""What is watched beside the stream: its lag, what is held back, what is missing."""

import logging

import pytest
from faust.types import TP

from scoring.doors.stream.fetch_thread import Ends
from scoring.doors.stream.lag_monitor import Watch
from scoring.doors.stream.poll_consumer import PartitionLag
from scoring.doors.stream.stall_detector import STALL_S, Progress

PLACE = TP("transactions", 3)


class Stream:
    """A consumer as it stands, and a clock to turn."""

    def __init__(self):
        self.now, self.asked, self.gone, self.refusing = 0.0, 0, [], False
        self.judged, self.readable, self.appended = 10, 10, 10
        self.progress = Progress(monotonic=lambda: self.now)
        self.watch = Watch(
            self.progress, ("transactions", "labels"), monotonic=lambda: self.now
        )

    def lags(self):
        return [PartitionLag(PLACE, self.judged, Ends(self.readable, self.appended))]

    def missing(self, topics):
        return [topic for topic in topics if topic in self.gone]

    def partitions(self, _topic):
        return 1, 3

    def unavailable(self):
        return self.refusing

    def ask_again(self):
        self.asked += 1

    def look_for(self, seconds: float) -> bool:
        """Look once a second; whether the stream ever stalled."""
        stalled = False
        for _ in range(int(seconds)):
            self.now += 1
            stalled |= self.watch.look(self)
        return stalled


@pytest.fixture
def stream():
    return Stream()


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.ERROR)
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_record_that_can_be_read_and_is_not_judged_is_a_stall(stream):
    stream.readable = stream.appended = 11
    assert not stream.look_for(STALL_S)
    assert stream.look_for(2)


def test_a_broker_that_is_away_is_no_stall_and_its_return_is_none_at_once(stream):
    stream.readable = stream.appended = 11
    stream.refusing = True
    assert not stream.look_for(10 * STALL_S)
    stream.refusing = False
    assert not stream.look_for(STALL_S)
    assert stream.look_for(2)


def test_what_an_open_transaction_holds_back_is_no_stall_and_is_said(stream, said):
    stream.appended = 14
    assert not stream.look_for(29)
    assert not said()
    assert not stream.look_for(STALL_S + 40)
    assert stream.progress.fault() == ""
    assert len(said()) == 3  # one a minute
    assert said()[0].startswith(
        "transactions/3: 4 records wait behind a transaction of their producer's that "
        "was opened at offset 10 and is not over"
    )


def test_transactions_that_come_and_go_are_said_to_nobody(stream, said):
    for _ in range(200):
        stream.appended += 3
        stream.look_for(10)
        stream.readable = stream.judged = stream.appended
        stream.look_for(1)
    assert not said()


def test_a_topic_that_is_missing_is_a_fault_until_it_is_there_again(stream, said):
    stream.gone = ["transactions"]
    stream.look_for(4)
    assert stream.progress.fault() == ""
    stream.look_for(120)
    assert stream.progress.fault() == (
        "the brokers do not have transactions: nothing of it is read; "
        "`scoring topics create` makes it"
    )
    assert [line.partition(":")[0] for line in said()] == [
        "transactions is not among the brokers' topics"
    ] * 2
    assert 40 <= stream.asked <= 62
    stream.gone = []
    stream.look_for(1)
    assert stream.progress.fault() == ""
    asked = stream.asked
    stream.look_for(60)
    assert stream.asked == asked
