"""What waits is decided in one micro-batch, and nobody waits for another."""

import asyncio
import time

import pytest
from grpc_parts import open_door, payment

from scoring import wire
from scoring.core.features.catalogue import default_catalogue
from scoring.doors.calls.requests import Caller, Intake
from scoring.errors import LogUnavailable, Overloaded
from scoring.pipeline.dispatcher import CallDecider, Dispatcher
from scoring.pipeline.load_shedding import LoadShedding
from scoring.pipeline.micro_batcher import MicroBatcher, Pacing
from scoring.pipeline.publishing import publish_nothing
from scoring.pipeline.single_flight import SingleFlight
from scoring.pipeline.stage_timer import Idle
from scoring.wiring.services import now_ms


@pytest.fixture
async def service(model_dir):
    async with open_door(model_dir) as door:
        yield door.service


def shedding_of(service, monotonic=time.monotonic, **known):
    return LoadShedding(monotonic, service.scorer.artifacts.catalogue.amount, **known)


def dispatching(
    service, publish=publish_nothing, *, scorer=None, gather_s=0.0, **known
):
    flights, shedding = SingleFlight(time.monotonic), shedding_of(service, **known)
    decider = CallDecider(scorer or service.scorer, flights, shedding, publish)
    batcher = MicroBatcher(decider, Pacing(quiet_turns=8, gather_s=gather_s))
    return Dispatcher(batcher, decider, flights, shedding)


@pytest.fixture
def check():
    intake = Intake(
        budget_s=5,
        skew_ms=0,
        exempt=frozenset(),
        now_ms=now_ms,
        monotonic=time.monotonic,
    )

    def fresh(*, deadline=None, **fields):
        within = time.monotonic() + 10 if deadline is None else deadline
        return intake.check(payment(**fields), Caller(within))

    return fresh


def trace_of(decided):
    return wire.decision_from_bytes(decided.decision).trace


async def test_calls_that_arrive_together_are_decided_in_one_micro_batch(
    service, check
):
    dispatcher = dispatching(service)
    checks = [check() for _ in range(20)]
    answers = await asyncio.gather(*map(dispatcher.decide, checks))
    assert [trace_of(answer).batch_size for answer in answers] == [20] * 20
    ids = [wire.decision_from_bytes(a.decision).core.transaction_id for a in answers]
    assert ids == [c.transaction.id for c in checks]


async def test_a_call_alone_waits_for_nobody(service, check):
    answer = await dispatching(service).decide(check())
    assert trace_of(answer).batch_size == 1


async def test_work_for_a_caller_who_left_is_dropped(service, check):
    dispatcher = dispatching(service)
    leaving, staying = check(), check()
    gone = asyncio.create_task(dispatcher.decide(leaving))
    await asyncio.sleep(0)
    gone.cancel()
    answer = await dispatcher.decide(staying)
    assert trace_of(answer).batch_size == 1
    key = (leaving.transaction.tenant, leaving.transaction.id)
    assert await service.store.decisions([key]) == [None]


async def test_a_duplicate_of_a_call_that_left_is_decided_and_in_the_log(
    service, check
):
    published = []

    async def publish(checks, answers):
        published.append((checks, answers))

    dispatcher = dispatching(service, publish)
    one = check()
    leaving = asyncio.create_task(dispatcher.decide(one))
    await asyncio.sleep(0)
    following = asyncio.create_task(dispatcher.decide(one))
    await asyncio.sleep(0)
    leaving.cancel()
    answer = await following
    assert published == [([one], [answer])]
    assert answer.first


async def test_the_same_check_twice_is_one_decision(service, check):
    dispatcher = dispatching(service)
    one = check()
    first, second = await asyncio.gather(dispatcher.decide(one), dispatcher.decide(one))
    assert first.decision == second.decision
    assert (first.first, second.first) == (True, False)


async def test_waiting_for_the_log_holds_nobody_else_up(service, check):
    waiting, logged = asyncio.Event(), asyncio.Event()
    slow = check()

    async def publish(checks, _answers):
        if slow in checks:
            waiting.set()
            await logged.wait()

    dispatcher = dispatching(service, publish)
    first = asyncio.create_task(dispatcher.decide(slow))
    await waiting.wait()
    for _ in range(5):  # more than may be decided at a time
        assert (await dispatcher.decide(check())).first
    assert not first.done()
    logged.set()
    assert (await first).first


async def test_without_the_log_everyone_in_the_micro_batch_is_told(service, check):
    async def publish(_checks, _answers):
        raise LogUnavailable("the broker is unavailable")

    dispatcher = dispatching(service, publish)
    told = await asyncio.gather(
        *(dispatcher.decide(check()) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in told] == [LogUnavailable] * 3


async def test_a_pipeline_that_breaks_its_promise_is_cut_off(service, check):
    held = Held(service.scorer)
    dispatcher = dispatching(service, scorer=held)
    with pytest.raises(TimeoutError):
        await dispatcher.decide(check(), until=time.monotonic())
    held.go.set()
    assert (await dispatcher.decide(check())).first


async def test_a_deadline_in_a_micro_batch_degrades_no_one_else(service, check):
    dispatcher = dispatching(service)
    hurried, patient = check(deadline=time.monotonic()), check()
    late, full = await asyncio.gather(
        dispatcher.decide(hurried), dispatcher.decide(patient)
    )
    core = wire.decision_from_bytes(late.decision).core
    assert [d.code for d in core.degradations]
    assert not wire.decision_from_bytes(full.decision).core.degradations


async def test_where_time_is_short_large_amounts_keep_the_full_path(service, check):
    checks = [
        check(deadline=100.0041, amount_minor=amount, currency=currency)
        for amount, currency in (
            (900, "EUR"),
            (50_000, "JPY"),  # about 300 euros, more in minor units than any other
            (40_000, "EUR"),
            (1_000, "MRU"),  # no rate: it may be the largest
            (31_000, "EUR"),
        )
    ]
    cut = shedding_of(service, lambda: 100.0, check_s=0.001).shortened(checks)
    assert [c.deadline == 100.0 for c in cut] == [True, True, False, False, False]
    assert [c.transaction for c in cut] == [c.transaction for c in checks]


async def test_a_micro_batch_is_cut_where_time_is_short(service, check):
    dispatcher = dispatching(service, check_s=1.0)
    until = time.monotonic() + 3.2
    waiting = []
    for amount in (5, 500, 50, 5_000, 1):
        waiting.append(asyncio.get_running_loop().create_future())
        dispatcher.submit(check(deadline=until, amount_minor=amount), waiting[-1])
    answers = [(await each)[0] for each in waiting]
    assert [a.provisional for a in answers] == [True, False, True, False, True]


async def test_where_there_is_time_nothing_is_cut(service, check):
    checks = [check(deadline=101.0) for _ in range(5)]
    shedding = shedding_of(service, lambda: 100.0, check_s=0.001)
    assert shedding.shortened(checks) is checks


def test_the_example_of_the_cut_rests_on_the_rates_that_ship():
    rates = default_catalogue().exchange.rates.by_currency
    assert "XTS" not in rates
    assert 50_000 * rates["JPY"].newest < 31_000 * rates["EUR"].newest


async def test_under_load_calls_gather_for_the_next_micro_batch(service, check):
    dispatcher = dispatching(service, gather_s=0.5)
    alone = await dispatcher.decide(check())
    first = asyncio.create_task(dispatcher.decide(check()))
    await asyncio.sleep(0.01)
    second = await dispatcher.decide(check())
    assert trace_of(alone).batch_size == 1
    assert [trace_of(each).batch_size for each in (await first, second)] == [2, 2]


async def test_calls_handed_over_a_few_turns_apart_share_a_micro_batch(service, check):
    dispatcher = dispatching(service)
    calls = []
    for _ in range(5):
        calls.append(asyncio.create_task(dispatcher.decide(check())))
        for _ in range(3):
            await asyncio.sleep(0)
    answers = await asyncio.gather(*calls)
    assert [trace_of(answer).batch_size for answer in answers] == [5] * 5


async def test_whoever_is_in_a_hurry_gathers_for_nobody(service, check):
    dispatcher = dispatching(service, gather_s=600)
    await dispatcher.decide(check())
    in_time = check(deadline=time.monotonic() + 5)
    assert trace_of(await dispatcher.decide(in_time)).batch_size == 1


async def test_many_need_not_gather_any_longer(service, check):
    dispatcher = dispatching(service, gather_s=600)
    await dispatcher.decide(check())
    far = time.monotonic() + 100_000
    waiting = [check(deadline=far) for _ in range(16)]
    answers = await asyncio.gather(*map(dispatcher.decide, waiting))
    assert [trace_of(answer).batch_size for answer in answers] == [16] * 16


class Held:
    """The pipeline, held up until it is let go."""

    def __init__(self, scorer):
        self.scorer, self.go, self.calls = scorer, asyncio.Event(), 0

    async def score_many(self, checks, *, idle=None, behind=0):
        self.calls += 1
        await self.go.wait()
        return await self.scorer.score_many(checks, idle=idle, behind=behind)


async def test_a_call_that_those_ahead_leave_no_time_for_is_refused_at_once(
    service, check
):
    held = Held(service.scorer)
    dispatcher = dispatching(service, scorer=held, check_s=1.0)
    ahead = [asyncio.create_task(dispatcher.decide(check()))]
    while not held.calls:
        await asyncio.sleep(0)
    ahead.append(asyncio.create_task(dispatcher.decide(check())))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await dispatcher.decide(check(deadline=time.monotonic() + 3))
    assert refused.value.retry_after_ms
    ahead.append(asyncio.create_task(dispatcher.decide(check())))  # it has ten seconds
    held.go.set()
    assert all(answer.decision for answer in await asyncio.gather(*ahead))


async def test_one_micro_batch_that_was_held_up_makes_nobody_look_late(service, check):
    held = Held(service.scorer)
    dispatcher = dispatching(service, scorer=held)
    before = dispatcher.shedding.check_s
    slow = [asyncio.create_task(dispatcher.decide(check())) for _ in range(8)]
    await asyncio.sleep(0.3)
    held.go.set()
    await asyncio.gather(*slow)
    assert dispatcher.shedding.check_s < 2 * before


async def test_what_a_check_costs_is_learned_from_micro_batches_of_many(service, check):
    dispatcher = dispatching(service, check_s=1e-9)
    for _ in range(2):
        await asyncio.gather(*(dispatcher.decide(check()) for _ in range(8)))
    assert dispatcher.shedding.check_s > 1e-6


class Waits:
    """The pipeline behind a store that takes its time."""

    def __init__(self, scorer):
        self.scorer = scorer

    async def score_many(self, checks, *, idle=None, behind=0):
        began = time.monotonic()
        await asyncio.sleep(0.3)
        answers = await self.scorer.score_many(checks, idle=idle, behind=behind)
        idle.seconds = time.monotonic() - began
        return answers


async def test_waiting_for_the_store_is_not_what_a_check_costs(service, check):
    dispatcher = dispatching(service, scorer=Waits(service.scorer), check_s=0.001)
    for _ in range(3):
        await dispatcher.decide_many([check()])
    assert dispatcher.shedding.check_s < 0.001


async def test_the_scorer_tells_how_long_it_waited_for_the_store(service, check):
    idle, began = Idle(), time.monotonic()
    await service.scorer.score_many([check()], idle=idle)
    assert 0 < idle.seconds < time.monotonic() - began
