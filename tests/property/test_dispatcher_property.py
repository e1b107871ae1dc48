"""Whatever callers do at once, each is answered its own, and nothing is left behind."""

import asyncio
from itertools import count
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.decision.decision import Door, Outcome
from scoring.core.transaction.transaction import Transaction
from scoring.errors import DeadlineExceeded, ScoringError
from scoring.pipeline.answer import Decided
from scoring.pipeline.dispatcher import PIECE_COUNT_MAX, CallDecider, Dispatcher
from scoring.pipeline.load_shedding import LoadShedding
from scoring.pipeline.micro_batcher import BATCH_COUNT_MAX, MicroBatcher, Pacing
from scoring.pipeline.single_flight import SingleFlight
from scoring.ports.check import Check

# Which transaction, by how many turns later than the call before, and after how many
# turns its caller leaves; None for one who stays.
LEAVES = st.none() | st.integers(0, 40)
TURNS = st.integers(0, 10)
SINGLE = st.tuples(st.integers(0, 30), TURNS, LEAVES)
BATCH = st.tuples(st.integers(0, 300), TURNS, LEAVES)


def check(number):
    """One of a few transactions; the same number is the same payload."""
    transaction = Transaction("default", f"t{number}", 1_700_000_000_000)
    return Check(
        transaction=transaction,
        payload_hash=b"h",
        received_at_ms=transaction.occurred_at_ms,
        door=Door.GRPC,
        deadline=asyncio.get_running_loop().time() + 60,
    )


class Scorer:
    """Decides in a few turns of the loop; now and then it fails as a whole."""

    def __init__(self, turns, fails_at):
        self.turns, self.fails_at = turns, fails_at
        self.calls, self.sizes = count(), []

    async def score_many(self, checks, **_):
        call = next(self.calls)
        self.sizes.append(len(checks))
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if call in self.fails_at:
            raise ScoringError("planted")
        return [
            Decided(c.transaction.id.encode(), Outcome.APPROVE, first=True, logged=b"l")
            for c in checks
        ]


def dispatching(scorer, published):
    async def publish(checks, answers):
        await asyncio.sleep(0)
        published.extend(a.decision for a in answers if a.logged)
        assert [c.transaction.id.encode() for c in checks] == [
            a.decision for a in answers
        ]

    now = asyncio.get_running_loop().time
    flights = SingleFlight(now)
    shedding = LoadShedding(now, lambda _: 1, check_s=1e-9)
    decider = CallDecider(scorer, flights, shedding, publish)
    batcher = MicroBatcher(decider, Pacing(quiet_turns=3))
    return Dispatcher(batcher, decider, flights, shedding)


async def called(call, turns):
    """Its answers; as many None where its caller leaves after so many turns."""
    task = asyncio.ensure_future(call)
    if turns is not None:
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None
    except ScoringError as error:
        return error


def begun(call, turns):
    return asyncio.ensure_future(called(call, turns))


async def everybody(scorer, singles, batches):
    published = []
    dispatcher = dispatching(scorer, published)
    calls, expected = [], []
    for number, turns, leaves in singles:
        for _ in range(turns):
            await asyncio.sleep(0)
        calls.append(begun(dispatcher.decide(check(number)), leaves))
        expected.append([f"t{number}".encode()])
    for size, turns, leaves in batches:
        for _ in range(turns):
            await asyncio.sleep(0)
        checks = [check(number) for number in range(size)]
        calls.append(begun(dispatcher.decide_many(checks), leaves))
        expected.append([c.transaction.id.encode() for c in checks])
    answers = await asyncio.gather(*calls)
    for _ in range(100):  # those whose caller left are decided all the same
        await asyncio.sleep(0)
    return dispatcher, answers, expected


@given(
    singles=st.lists(SINGLE, max_size=60),
    batches=st.lists(BATCH, max_size=3),
    turns=st.integers(0, 6),
    fails_at=st.frozensets(st.integers(0, 8), max_size=2),
)
def test_each_gets_its_own_answers_and_nothing_stays_in_flight(
    singles, batches, turns, fails_at
):
    scorer = Scorer(turns, fails_at)
    dispatcher, answers, expected = asyncio.run(everybody(scorer, singles, batches))
    for told, ids in zip(answers, expected, strict=True):
        if isinstance(told, ScoringError):
            assert fails_at
        elif told is not None:
            decided = told if isinstance(told, list) else [told]
            assert [answer.decision for answer in decided] == ids
    assert dispatcher.flights.count == 0
    assert dispatcher.batcher.waiting_count == 0
    assert dispatcher.batcher.deciding_count == 0
    assert max(scorer.sizes, default=0) <= max(BATCH_COUNT_MAX, PIECE_COUNT_MAX)


@given(turns=st.integers(0, 30), size=st.sampled_from([1, 128, 129, 300]))
def test_a_batch_call_that_ends_at_any_turn_leaves_nothing_in_flight(turns, size):
    async def left():
        dispatcher = dispatching(Scorer(2, frozenset()), [])
        batch = dispatcher.decide_many([check(number) for number in range(size)])
        await called(batch, turns)
        return dispatcher.flights.count

    assert asyncio.run(left()) == 0


def test_a_duplicate_is_computed_once_and_told_that_it_is_not_the_first():
    async def both():
        scorer = Scorer(2, frozenset())
        dispatcher = dispatching(scorer, [])
        answers = await asyncio.gather(*(dispatcher.decide(check(1)) for _ in range(9)))
        return scorer.sizes, answers

    sizes, answers = asyncio.run(both())
    assert sizes == [1]
    assert [(a.first, a.logged) for a in answers] == [
        (True, b"l"),
        *[(False, None)] * 8,
    ]


def test_who_may_wait_no_longer_is_told_so_and_is_not_decided():
    async def late():
        published = []
        dispatcher = dispatching(Scorer(1, frozenset()), published)
        with pytest.raises(DeadlineExceeded):
            await dispatcher.decide(check(1), until=-inf)
        for _ in range(20):
            await asyncio.sleep(0)
        return published, dispatcher.flights.count

    assert asyncio.run(late()) == ([], 0)
