"""What every store promises of decisions: one suite for the memory and for Redis."""

from dataclasses import replace

from contract_parts import PAID, at, feature, fraud, observed, recording
from streams import check

from scoring.ports.history import Applied


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


async def test_what_is_reconciled_counts_as_if_it_had_been_observed(store):
    reconciled = [at(i / 100, f"t{i}", card=f"c{i}") for i in range(4)]
    await observed(store, at(-1, "before"))
    await store.learn([fraud(reconciled[-1])])  # a label that waits for its payment
    checks = [check(t) for t in reconciled]
    for _ in range(2):  # it may be interrupted, and begun again
        told = await store.reconcile(checks, [recording(t) for t in reconciled])
        assert all(r.first and not r.conflict for r in told)
    soon, after = at(1, "soon"), at(7 * 24 + 0.5, "after")
    seen, later = await observed(store, soon, after)
    assert feature(soon, seen, "terminal_count_1d") == 6
    assert feature(after, later, "terminal_fraud_streak") == 1
    (repeat,) = await observed(store, reconciled[0])
    assert (repeat.applied, repeat.stored) == (Applied.REPEATED, b"decision")


async def test_nothing_is_reconciled_where_another_decision_or_payload_stands(store):
    await observed(store, PAID)
    await store.record([recording(PAID, b"first")])
    (other,) = await store.reconcile([check(PAID)], [recording(PAID, b"second")])
    assert (other.first, other.decision) == (False, b"first")
    changed = replace(PAID, amount_minor=1)
    (conflict,) = await store.reconcile([check(changed)], [recording(changed)])
    assert conflict.conflict
    after = at(0.5, "after")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "card_count_1h") == 2


async def test_an_unobserved_payment_is_not_decided(store):
    await observed(store, PAID)
    assert await store.decisions([("default", "t1")]) == [None]


async def test_nothing_recorded_is_nothing(store):
    assert await store.record([]) == []
    assert await store.reconcile([], []) == []
    assert await store.decisions([]) == []
    assert await store.payments([]) == []
