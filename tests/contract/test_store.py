"""What every store promises; one suite for the memory and for the real thing."""

import asyncio
from dataclasses import replace
from math import isnan

import numpy as np
from contract_parts import CATALOGUE, PAID, at, feature, fraud, observed, recording
from store_parts import outbox_of
from streams import HOUR_MS, START_MS, check

from scoring.core.features.vector import vectorise
from scoring.ports import Applied


async def test_the_first_payment_counts_itself(store):
    (seen,) = await observed(store, PAID)
    assert seen.applied is Applied.COUNTED
    assert feature(PAID, seen, "card_count_1h") == 1
    assert feature(PAID, seen, "customer_new_device") == 1


async def test_a_window_is_open_at_its_start_and_closed_at_its_end(store):
    before, edge = at(0, "t0"), at(1, "t1")
    _, seen = await observed(store, before, edge)
    assert feature(edge, seen, "card_count_1h") == 1
    just_inside = replace(at(0, "t2"), occurred_at_ms=START_MS + 2 * HOUR_MS - 1)
    (seen,) = await observed(store, just_inside)
    assert feature(just_inside, seen, "card_count_1h") == 2


async def test_payments_of_one_batch_see_each_other_in_order(store):
    batch = [at(0, f"t{i}", payment_id="") for i in range(3)]
    batch = [replace(t, occurred_at_ms=START_MS + i) for i, t in enumerate(batch)]
    seen = await observed(store, *batch)
    counts = [feature(t, o, "card_count_1h") for t, o in zip(batch, seen, strict=True)]
    assert counts == [1, 2, 3]


async def test_a_repeat_changes_nothing_and_sees_what_it_saw(store):
    (first,) = await observed(store, PAID)
    await observed(store, at(-1, "late"), at(1, "later"))
    (again,) = await observed(store, PAID)
    assert again.applied is Applied.REPEATED
    assert np.array_equal(again.values, first.values, equal_nan=True)
    assert again.processed_seq == first.processed_seq


async def test_another_payload_under_the_same_id_is_a_conflict_and_counts_nothing(
    store,
):
    await observed(store, PAID)
    (seen,) = await observed(store, replace(PAID, amount_minor=1))
    assert seen.applied is Applied.CONFLICT
    after = at(0.5, "t2")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "card_count_1h") == 2


async def test_a_dry_run_sees_what_would_be_and_changes_nothing(store):
    (seen,) = await observed(store, PAID, dry_run=True)
    assert seen.applied is Applied.DRY_RUN
    assert feature(PAID, seen, "card_count_1h") == 1
    (seen,) = await observed(store, PAID)
    assert seen.applied is Applied.COUNTED
    assert feature(PAID, seen, "card_count_1h") == 1


async def test_a_late_payment_sees_its_own_past_and_is_seen_by_the_future(store):
    early, after, late, last = at(0, "a"), at(2, "b"), at(1, "c"), at(3, "d")
    await observed(store, early, after)
    (seen,) = await observed(store, late)
    assert feature(late, seen, "card_count_1d") == 2
    (seen,) = await observed(store, last)
    assert feature(last, seen, "card_count_1d") == 4


async def test_a_payment_beyond_the_lateness_is_read_and_never_counted(store):
    newest, too_late, after = at(30, "a"), at(1, "b"), at(31, "c")
    await observed(store, newest)
    (seen,) = await observed(store, too_late)
    assert seen.applied is Applied.TOO_LATE
    (seen,) = await observed(store, after)
    assert feature(after, seen, "card_count_7d") == 2
    (again,) = await observed(store, too_late)
    assert again.applied is Applied.TOO_LATE


async def test_retries_of_one_payment_are_one_payment(store):
    retries = [at(0, f"t{i}", attempt=i) for i in range(1, 4)]
    retries = [replace(t, occurred_at_ms=START_MS + i) for i, t in enumerate(retries)]
    *_, seen = await observed(store, *retries)
    assert feature(retries[-1], seen, "card_payments_1h") == 1
    assert feature(retries[-1], seen, "card_count_1h") == 3


async def test_an_unknown_entity_is_unknown_and_never_zero(store):
    unnamed = replace(PAID, device="")
    (seen,) = await observed(store, unnamed)
    assert np.isnan(feature(unnamed, seen, "device_count_1h"))
    assert np.isnan(feature(unnamed, seen, "customer_new_device"))


async def test_an_amount_without_a_rate_is_unknown_and_still_an_attempt(store):
    odd = at(0, "a", currency="XTS")
    usual = replace(at(0, "b"), occurred_at_ms=START_MS + 1)
    _, seen = await observed(store, odd, usual)
    assert feature(usual, seen, "card_count_1h") == 2
    assert feature(usual, seen, "card_sum_1d") == 1_000
    assert isnan(feature(usual, seen, "card_mean_7d"))


async def test_the_first_recorded_decision_stands(store):
    await observed(store, PAID)
    (first,) = await store.record([recording(PAID, b"one")])
    (second,) = await store.record([recording(PAID, b"two")])
    (retried,) = await store.record([recording(PAID, b"one")])
    assert (first.first, first.decision) == (True, b"one")
    assert (second.first, second.decision) == (False, b"one")
    assert (retried.first, retried.decision) == (True, b"one")
    (seen,) = await observed(store, PAID)
    assert (seen.applied, seen.stored) == (Applied.REPEATED, b"one")
    assert await store.decisions([("default", "t1"), ("default", "?")]) == [
        b"one",
        None,
    ]


async def test_a_decision_of_another_payload_is_a_conflict(store):
    await observed(store, PAID)
    (seen,) = await store.record([recording(replace(PAID, amount_minor=7))])
    assert seen.conflict
    assert not seen.first


async def test_a_decision_can_be_recorded_for_what_was_never_observed(store):
    (seen,) = await store.record([recording(PAID, b"provisional")])
    assert seen.first
    (seen,) = await observed(store, PAID)
    assert seen.stored == b"provisional"
    assert seen.applied is Applied.COUNTED
    (again,) = await observed(store, PAID)
    assert (again.applied, again.stored) == (Applied.REPEATED, b"provisional")
    after = at(0.5, "t2")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "card_count_1h") == 2


async def test_what_is_adopted_counts_as_if_it_had_been_observed(store):
    adopted = [at(i / 100, f"t{i}", card=f"c{i}") for i in range(4)]
    await observed(store, at(-1, "before"))
    await store.learn([fraud(adopted[-1])])  # a label that waits for its payment
    checks = [check(t) for t in adopted]
    for _ in range(2):  # it may be interrupted, and begun again
        told = await store.adopt(checks, [recording(t) for t in adopted])
        assert all(r.first and not r.conflict for r in told)
    soon, after = at(1, "soon"), at(7 * 24 + 0.5, "after")
    seen, later = await observed(store, soon, after)
    assert feature(soon, seen, "terminal_count_1d") == 6
    assert feature(after, later, "terminal_fraud_streak") == 1
    (repeat,) = await observed(store, adopted[0])
    assert (repeat.applied, repeat.stored) == (Applied.REPEATED, b"decision")


async def test_nothing_is_adopted_where_another_decision_or_payload_stands(store):
    await observed(store, PAID)
    await store.record([recording(PAID, b"first")])
    (other,) = await store.adopt([check(PAID)], [recording(PAID, b"second")])
    assert (other.first, other.decision) == (False, b"first")
    changed = replace(PAID, amount_minor=1)
    (conflict,) = await store.adopt([check(changed)], [recording(changed)])
    assert conflict.conflict
    after = at(0.5, "after")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "card_count_1h") == 2


async def test_an_unobserved_payment_is_not_decided(store):
    await observed(store, PAID)
    assert await store.decisions([("default", "t1")]) == [None]


async def test_the_outbox_keeps_a_decision_until_it_is_published(store):
    await store.record([recording(PAID, b"one", logged=b"logged")])
    await store.record([recording(PAID, b"two", logged=b"other")])
    assert await outbox_of(store) == [("default", "t1", b"logged")]
    await store.published([("default", "t1")])
    assert await outbox_of(store) == []


async def test_the_whole_outbox_is_read_in_pages(store):
    paid = [at(0.0, f"t{i}") for i in range(2_000)]
    await store.record([recording(t, b"one", logged=t.id.encode()) for t in paid])
    pages = [page async for page in store.outbox_pages(count=100)]
    assert len(pages) > 1
    assert max(map(len, pages)) < 500
    found = {entry for page in pages for entry in page}
    assert found == {("default", t.id, t.id.encode()) for t in paid}


async def test_a_task_of_all_processes_is_one_holders_until_its_time_is_over(store):
    assert await store.lease("sweep", "one", for_s=0.3)
    assert await store.lease("sweep", "one", for_s=0.3), "asking again renews it"
    assert not await store.lease("sweep", "two", for_s=0.3)
    assert await store.lease("another task", "two", for_s=0.3)
    await asyncio.sleep(0.4)
    assert await store.lease("sweep", "two", for_s=0.3)


async def test_tenants_share_nothing(store):
    await observed(store, PAID)
    other = replace(PAID, tenant="other")
    (seen,) = await observed(store, other)
    assert seen.applied is Applied.COUNTED
    assert feature(other, seen, "card_count_1h") == 1


async def test_a_forecast_says_when_windows_lose_their_events(store):
    await observed(store, PAID)
    coming = await store.forecast(
        PAID, features=["card_count_1h"], after_ms=START_MS, instants_max=1
    )
    ((instant, values),) = coming
    assert instant == START_MS + HOUR_MS
    later = replace(PAID, occurred_at_ms=instant)
    matrix = vectorise(CATALOGUE, [later], [values])
    assert matrix[0, CATALOGUE.names.index("card_count_1h")] == 1
    assert matrix[0, CATALOGUE.names.index("card_count_1d")] == 2


async def test_an_empty_batch_is_nothing(store):
    assert await store.observe([]) == []
    assert await store.record([]) == []
    assert await store.decisions([]) == []
    await store.learn([])
    await store.ping()
