"""What every store promises of statistics that count by the recorded outcome."""

from dataclasses import replace

import pytest
from outcomes import OUTCOMES, recorded
from streams import DEDUPE_MS, HOUR_MS, LATENESS_MS, START_MS, check

from scoring.core.decision.decision import Outcome
from scoring.core.features.vector import vectorise
from scoring.core.transaction.transaction import Transaction
from scoring.stores.memory.store import MemoryStore
from scoring.stores.redis.store import RedisStore

PAID = Transaction(
    "default",
    "t0",
    occurred_at_ms=START_MS,
    amount_minor=1_000,
    currency="EUR",
    card="c1",
    device="d1",
)


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request, store_namespace):
    terms = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}
    if request.param == "memory":
        yield MemoryStore(OUTCOMES, **terms)
        return
    address = request.getfixturevalue(f"{request.param}_address")
    made = await RedisStore.connect(
        address, catalogue=OUTCOMES, namespace=store_namespace, **terms
    )
    yield made
    await made.close()


def at(minutes, id_, **changes):
    when = START_MS + minutes * 60_000
    return check(replace(PAID, id=id_, occurred_at_ms=when, **changes))


async def seen(store, asked, name="card_declined_1h"):
    (observation,) = await store.observe([asked])
    matrix = vectorise(OUTCOMES, [asked.transaction], [observation.values])
    return float(matrix[0, OUTCOMES.names.index(name)])


async def test_an_outcome_counts_once_it_is_recorded(store):
    first = at(0, "a")
    assert await seen(store, first) == 0
    assert await seen(store, at(1, "b")) == 0
    await store.record([recorded(first)])
    assert await seen(store, at(2, "c")) == 1


async def test_approved_and_declined_attempts_are_counted_apart(store):
    for i, outcome in enumerate((Outcome.APPROVE, Outcome.DECLINE, Outcome.CHALLENGE)):
        asked = at(i, f"t{i}")
        await store.observe([asked])
        await store.record([recorded(asked, outcome)])
    assert await seen(store, at(5, "x"), "card_declined_1h") == 1
    assert await seen(store, at(6, "y"), "card_approved_sum_1d") == 2_000
    assert await seen(store, at(7, "z"), "card_count_1h") == 6


async def test_an_outcome_recorded_again_counts_once(store):
    first = at(0, "a")
    await store.observe([first])
    for decision in (b"one", b"one", b"two"):
        await store.record([recorded(first, decision=decision)])
    await store.observe([first])
    assert await seen(store, at(1, "b")) == 1


async def test_the_outcome_of_a_late_payment_is_seen_where_it_belongs(store):
    await store.observe([at(120, "a")])
    late = at(30, "late")
    await store.observe([late])
    await store.record([recorded(late)])
    assert await seen(store, at(60, "b")) == 1
    assert await seen(store, at(121, "c")) == 0
    assert await seen(store, at(122, "d"), "card_declined_7d") == 1


async def test_a_decision_recorded_before_it_was_observed_counts_when_it_is(store):
    first = at(0, "a")
    await store.record([recorded(first, Outcome.APPROVE, b"provisional")])
    assert await seen(store, at(1, "b"), "card_approved_sum_1d") == 0
    (observation,) = await store.observe([first])
    assert observation.stored == b"provisional"
    assert await seen(store, at(2, "c"), "card_approved_sum_1d") == 1_000


async def test_a_payment_too_late_to_be_counted_is_not_counted_by_outcome(store):
    await store.observe([at(60 * 30, "newest")])
    late = at(0, "late")
    await store.observe([late])
    await store.record([recorded(late)])
    assert await seen(store, at(60 * 30 + 1, "b"), "card_declined_7d") == 0


async def test_a_refused_first_writer_leaves_no_outcome(store):
    first = at(0, "a")
    await store.observe([first])
    other = at(0, "a", amount_minor=7)
    (answer,) = await store.record([recorded(other)])
    assert answer.conflict
    assert await seen(store, at(1, "b")) == 0


async def test_an_hour_later_the_outcome_has_left_the_window(store):
    first = at(0, "a")
    await store.observe([first])
    await store.record([recorded(first)])
    assert await seen(store, at(HOUR_MS // 60_000, "b")) == 0
