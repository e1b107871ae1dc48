"""What the live page is made from: the newest decisions, and one render for all."""

import pytest
from console_parts import Seconds, decision

from scoring.console.live import ROWS_MAX, SHOWN_MAX, LiveFeed
from scoring.core.decision.decision import Outcome
from scoring.kafka.tail import TailFilter
from scoring.v1 import transaction_pb2

ALL = TailFilter()


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def feed(seconds):
    return LiveFeed(seconds, budget_ms=50)


def ids(rows):
    return [row.decision.core.transaction_id for row in rows]


def test_a_viewer_is_given_what_came_since_they_looked_the_newest_first(feed):
    for name in ("a", "b", "c"):
        feed.add(decision(name))
    assert ids(feed.since(1, ALL)) == ["c", "b"]
    assert ids(feed.since(feed.newest, ALL)) == []


def test_a_viewer_who_reads_slowly_is_given_the_newest_alone(feed):
    for number in range(SHOWN_MAX * 3):
        feed.add(decision(f"t{number}"))
    shown = feed.since(0, ALL)
    assert len(shown) == SHOWN_MAX
    assert ids(shown)[0] == f"t{SHOWN_MAX * 3 - 1}"


def test_memory_is_bounded_however_many_come(feed):
    for number in range(ROWS_MAX + 10):
        feed.add(decision(f"t{number}"))
    assert len(feed._rows) == ROWS_MAX
    assert feed.named("default", "t0") is None
    assert feed.named("default", f"t{ROWS_MAX}") is not None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (TailFilter(outcomes=frozenset({Outcome.DECLINE})), ["dear", "cheap"]),
        (TailFilter(outcomes=frozenset({Outcome.APPROVE})), ["well"]),
        (TailFilter(merchant="shop-2"), ["well"]),
        (TailFilter(rule="other"), ["well"]),
        (TailFilter(segment=("channel", "ecommerce")), ["well"]),
        (TailFilter(segment=("card_country", "DE")), []),
        (TailFilter(amount_min=100.0), ["well", "dear"]),
        (TailFilter(amount_min=100.01), ["well"]),
    ],
)
def test_filters_are_those_of_the_command_line(feed, wanted, found):
    feed.add(decision("cheap", amount_minor=9_999))
    feed.add(decision("dear", amount_minor=10_000))
    well = {"outcome": "APPROVE", "merchant": "shop-2", "rule": "other"}
    large = decision("well", amount_minor=50_000, **well)
    large.transaction.channel = transaction_pb2.CHANNEL_ECOMMERCE
    feed.add(large)
    assert ids(feed.since(0, wanted)) == found


def test_an_amount_that_is_unknown_is_at_least_nothing(feed):
    unknown = decision("unknown")
    unknown.transaction.ClearField("amount_minor")
    feed.add(unknown)
    assert not feed.since(0, TailFilter(amount_min=0.01))
    assert feed.since(0, ALL)


def test_figures_are_of_the_last_minute(feed, seconds):
    feed.add(decision("old", outcome="APPROVE"))
    seconds.now_s += 61
    feed.add(decision("new", score=0.99))
    minute = feed.minute()
    assert minute.count == 1
    assert {name: count for name, count, _ in minute.outcomes} == {
        "approve": 0,
        "challenge": 0,
        "review": 0,
        "decline": 1,
    }
    assert minute.scores[-1] == 1
    assert sum(minute.scores) == 1
    assert minute.over_s == 60


def test_a_decision_is_within_its_time_by_what_its_stages_took(feed):
    quick, slow, untimed = decision("a"), decision("b"), decision("c")
    slow.trace.stages.add(stage="predict", duration_us=49_000)
    untimed.trace.ClearField("stages")
    for each in (quick, slow, untimed):
        feed.add(each)
    assert feed.minute().within == 0.5


def test_without_decisions_nothing_is_claimed(feed):
    assert feed.minute().within is None
    assert feed.age_s is None
