"""What every store promises of follow-ups, and of the payments that they speak of."""

from dataclasses import replace
from itertools import count

import numpy as np
from contract_parts import PAID, at, feature, fraud, observed, recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import HOUR_MS, START_MS

from scoring import wire
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.ports.follow_ups import (
    Attested,
    LabelledTransaction,
    Life,
    TransactionEvent,
)

NUMBERS = count()


async def test_a_fraud_counts_after_its_delay_and_its_arrival(store):
    await observed(store, PAID)
    known_at_ms = START_MS + 8 * 24 * HOUR_MS
    label = LabelledTransaction(
        transaction=PAID, version=1, fraud=True, known_at_ms=known_at_ms
    )
    await store.learn([label])
    await store.learn([label])
    too_early, after = at(7 * 24 + 12, "b"), at(8 * 24, "c")
    (seen,) = await observed(store, too_early)
    assert feature(too_early, seen, "terminal_fraud_streak") == 0
    (seen,) = await observed(store, after)
    assert feature(after, seen, "terminal_fraud_streak") == 1


async def test_a_label_that_came_before_its_payment_counts_once_that_is_counted(store):
    await observed(store, at(-1, "earlier"))
    await store.learn([fraud(PAID)])
    await observed(store, PAID)
    after = at(8 * 24, "b")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "terminal_fraud_streak") == 1


async def test_a_label_of_a_payment_that_never_came_counts_nowhere(store):
    await observed(store, PAID)
    await store.learn([fraud(at(0, "never"))])
    after = at(8 * 24, "b")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "terminal_fraud_streak") == 0
    assert np.isnan(feature(after, seen, "terminal_since_fraud"))


async def test_a_withdrawn_label_undoes_exactly_what_it_said(store):
    await observed(store, PAID)
    for version, word in ((1, True), (2, None)):
        await store.learn(
            [
                LabelledTransaction(
                    transaction=PAID,
                    version=version,
                    fraud=word,
                    known_at_ms=START_MS + version,
                )
            ]
        )
    after = at(8 * 24, "b")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "terminal_fraud_streak") == 0


def verdict(fraud, version=1, t=PAID):
    return LabelledTransaction(
        transaction=t, version=version, fraud=fraud, known_at_ms=START_MS + HOUR_MS
    )


async def test_a_version_says_one_verdict_and_the_first_stands(store):
    await observed(store, PAID)
    assert await store.learn([verdict(True), verdict(False)]) == [True, False]
    assert await store.learn([verdict(True), verdict(None)]) == [True, False]
    after = at(8 * 24, "b")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "terminal_fraud_streak") == 1
    assert await store.learn([verdict(False, version=2)]) == [True]
    after = at(8 * 24, "c")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "terminal_fraud_streak") == 0


async def test_a_label_that_is_attested_stands_and_is_not_learned_yet(store):
    await observed(store, PAID)
    assert await store.attest([verdict(True)]) == [True]
    assert await store.attest([verdict(True), verdict(False)]) == [True, False]
    after = at(8 * 24, "b")
    (seen,) = await observed(store, after)
    assert feature(after, seen, "terminal_fraud_streak") == 0
    assert await store.learn([verdict(True), verdict(None)]) == [True, False]
    (seen,) = await observed(store, at(8 * 24, "c"))
    assert feature(after, seen, "terminal_fraud_streak") == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_the_first_verdict_of_each_version_stands_in_any_order(store, data):
    t = replace(PAID, id=f"v{next(NUMBERS)}")
    said: dict[int, bool | None] = {}
    for version, word in data.draw(
        st.lists(st.tuples(st.integers(1, 9), st.sampled_from([True, False, None])))
    ):
        stands = said.setdefault(version, word) is word
        assert await store.attest([verdict(word, version, t)]) == [stands]


async def test_a_recorded_decision_keeps_its_payment_and_answers_without_it(store):
    whole = replace(
        PAID, attempt=2, latitude=50.1, longitude=8.2, merchant_category="5411"
    )
    await observed(store, whole)
    own = replace(recording(whole, b"one"), transaction=whole)
    (first,) = await store.record([own])
    assert first.decision == b"one"
    keys = [("default", "t1"), ("default", "?"), ("other", "t1")]
    assert await store.payments(keys) == [whole, None, None]
    assert (await store.decisions(keys))[0] == b"one"
    (seen,) = await observed(store, whole)
    assert seen.stored == b"one"
    (other,) = await store.record([replace(own, decision=b"two")])
    assert (other.first, other.decision) == (False, b"one")


async def test_no_labels_are_nothing(store):
    assert await store.attest([]) == []
    assert await store.learn([]) == []


def happened(event_id="e1", t=PAID, **fields):
    event = LifecycleEvent(
        t.tenant,
        t.id,
        event_id,
        **{"kind": 2, "occurred_at_ms": t.occurred_at_ms + HOUR_MS, **fields},
    )
    return TransactionEvent(t, event)


async def test_an_event_stands_once_and_another_payload_conflicts(store):
    await observed(store, PAID)
    one, again = happened(known_at_ms=START_MS), happened(known_at_ms=START_MS + 9)
    other = happened(amount_minor=5)
    assert await store.attest([one, again, other]) == [1, 1, 0]
    assert await store.learn([other, again, happened("e2")]) == [0, 1, 1]


async def test_what_became_known_of_a_payment_is_kept_as_it_was_first_told(store):
    known = happened("e1", known_at_ms=START_MS, transaction=PAID)
    await store.learn([known, verdict(True), happened("e1", known_at_ms=START_MS + 9)])
    await store.learn([verdict(False), verdict(None, version=2)])
    found, nothing = await store.lives([("default", "t1"), ("other", "t1")])
    assert nothing == Life()
    assert [wire.event_from_bytes(raw) for raw in found.events] == [known.told]
    labels = [wire.label_from_bytes(raw) for raw in found.labels]
    assert sorted((one.version, one.verdict) for one in labels) == [(1, 1), (2, 3)]


async def test_a_payment_keeps_so_many_events_and_no_more(store):
    many = [happened(f"e{i}") for i in range(256)]
    assert set(await store.learn(many)) == {Attested.STANDS}
    one_more = [happened("more"), happened("e7"), happened("e7", amount_minor=1)]
    assert await store.learn(one_more) == [-1, 1, 0]
    assert await store.learn([verdict(True)]) == [True]
