"""What every store promises of labels, and of the payments that they speak of."""

from dataclasses import replace
from itertools import count

import numpy as np
from contract_parts import PAID, at, feature, fraud, observed, recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import HOUR_MS, START_MS

from scoring.ports.labels import LabelledTransaction

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
