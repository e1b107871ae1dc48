"""What every store promises of history: one suite for the memory and for Redis."""

from dataclasses import replace
from math import isnan

import numpy as np
from contract_parts import CATALOGUE, PAID, at, feature, observed
from streams import HOUR_MS, START_MS

from scoring.core.features.vector import vectorise
from scoring.ports.history import Applied


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


async def test_nothing_observed_is_nothing(store):
    assert await store.observe([]) == []
