"""Statistics over lifecycle events: three engines, equal cell by cell."""

import os
import random
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from lifecycle_parts import LIFECYCLE, events_of, events_table
from store_parts import connected
from streams import DAY_MS, DEDUPE_MS, LATENESS_MS, Shape, check, transactions

from scoring.core.features.catalogue import load_catalogue
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import MAP_FIELDS, Transaction
from scoring.errors import BadArtifact, StoreUnavailable
from scoring.ports.follow_ups import TransactionEvent
from scoring.stores.memory.store import MemoryStore
from scoring.stores.redis.store import RedisStore
from scoring.training.offline.engine import OfflineInput, offline_features

SEEDS = range(int(os.environ.get("SCORING_DRILL_SEEDS", "3")))
TERMS = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}


def wrong(ours, theirs, inexact=()):
    differ = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    return [
        LIFECYCLE.slot_features[i]
        for i in np.flatnonzero(differ)
        if not set(LIFECYCLE.slot_features[i]) & set(inexact)
    ]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("hot", [False, True])
@pytest.mark.parametrize("address", ["redis", "cluster"])
async def test_the_online_engine_equals_the_reference(
    seed, hot, address, request, store_namespace
):
    """Events come late, repeated, in any order, before their time, and conflicting."""
    rnd = random.Random(seed)
    stream = transactions(rnd, Shape(count=400, hot=hot))
    ours = await RedisStore.connect(
        request.getfixturevalue(f"{address}_address"),
        catalogue=LIFECYCLE,
        namespace=store_namespace,
        **TERMS,
    )
    theirs = MemoryStore(LIFECYCLE, **TERMS)
    waiting, told, cells, inexact = [], [], 0, 0
    while stream:
        checks = [
            check(stream.pop(0)) for _ in range(min(rnd.choice((1, 5)), len(stream)))
        ]
        for a, b in zip(
            await ours.observe(checks), await theirs.observe(checks), strict=True
        ):
            assert not a.degradations
            assert a.applied is b.applied
            assert not wrong(a.values, b.values, a.inexact)
            cells += a.values.size
            inexact += bool(a.inexact)
        waiting += events_of(rnd, [c.transaction for c in checks])
        rnd.shuffle(waiting)
        fresh = [waiting.pop() for _ in range(len(waiting) // 2)]
        again = rnd.sample(told, min(2, len(told))) + fresh
        assert await ours.learn(again) == await theirs.learn(again)
        told += fresh
    await ours.close()
    print(f"{cells} cells, {inexact} payments with inexact ones")
    assert cells > 2_000


BESIDE = replace(LIFECYCLE, version=LIFECYCLE.version[::-1])  # the same, warmed anew


@pytest.mark.parametrize("address", ["redis", "cluster"])
async def test_events_that_other_definitions_learned_first_are_right_or_flagged(
    address, request, store_namespace
):
    """Half are warmed from the log, the others come at old times, and are followed;
    histories are so busy that they merge."""
    rnd = random.Random(3)
    stream = transactions(rnd, Shape(count=900, hot=True, late=0, silence=0))
    told = events_of(rnd, stream)
    where = request.getfixturevalue(f"{address}_address")
    live = await connected(where, store_namespace, LIFECYCLE)
    await learned_unsteadily(live, told, lambda: False)
    await live.close()
    beside = await connected(where, store_namespace, BESIDE, claims="beside")
    oracle = MemoryStore(LIFECYCLE, **TERMS)
    for store in (beside, oracle):
        await store.observe([check(t) for t in stream])
    for part in (told[::2], told[1::2]):
        await learned_unsteadily(beside, sorted(part, key=known), lambda: False)
    await oracle.learn(told)
    await assert_right_or_flagged(beside, oracle, stream)
    await beside.close()


@pytest.mark.parametrize("address", ["redis", "cluster"])
async def test_an_event_whose_learning_broke_off_counts_once_when_it_is_learned_again(
    address, request, store_namespace
):
    """The link breaks before or after any exchange; what merged meanwhile is unsure."""
    rnd = random.Random(4)
    stream = transactions(rnd, Shape(count=900, hot=True, late=0, silence=0))
    told = events_of(rnd, stream)
    store = await connected(
        request.getfixturevalue(f"{address}_address"), store_namespace, LIFECYCLE
    )
    oracle = MemoryStore(LIFECYCLE, **TERMS)
    for one in (store, oracle):
        await one.observe([check(t) for t in stream])
    broken = await learned_unsteadily(store, told, lambda: rnd.random() < 0.1)
    assert broken > 20
    await oracle.learn(told)
    await assert_right_or_flagged(store, oracle, stream)
    await store.close()


def known(one):
    return one.event.known_at_ms


async def learned_unsteadily(store, told, breaks):
    """Learn in small groups; those that broke off once more, when all is merged."""
    ask, broken = store._calls.ask, []

    async def unsteady(*args, **kwargs):
        if breaks():
            raise StoreUnavailable("before it was sent")
        replies = await ask(*args, **kwargs)
        if breaks():
            raise StoreUnavailable("before it was answered")
        return replies

    store._calls.ask = unsteady
    for i in range(0, len(told), 10):
        try:
            await store.learn(told[i : i + 10])
        except StoreUnavailable:
            broken.append(told[i : i + 10])
    store._calls.ask = ask
    for group in broken:
        await store.learn(group)
        await store.learn(group)
    return len(broken)


async def assert_right_or_flagged(store, oracle, stream):
    newest = max(t.occurred_at_ms for t in stream)
    probes = [
        replace(t, id=f"probe-{i}-{after}", occurred_at_ms=newest + after * 3_600_000)
        for i, t in enumerate(stream[-30:])
        for after in range(0, 300, 10)
    ]
    checks = [check(t, dry_run=True) for t in probes]
    exact, unflagged = 0, []
    for a, b in zip(
        await store.observe(checks), await oracle.observe(checks), strict=True
    ):
        assert not a.degradations
        unflagged += wrong(a.values, b.values, a.inexact)
        exact += len(LIFECYCLE.names) - len(a.inexact)
    assert unflagged == []
    assert exact > 500, "the test proves less"


def table(stream):
    fields = [f for f in Transaction.__slots__ if f not in MAP_FIELDS]
    columns = {f: [getattr(t, f) for t in stream] for f in fields}
    for f in ("latitude", "longitude"):
        columns[f] = pa.array(columns[f], pa.float64())
    return pa.table(columns)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_offline_engine_equals_an_ordered_replay(seed):
    """An event is learned before the first payment at or after it became known."""
    rnd = random.Random(seed)
    stream = sorted(
        transactions(rnd, Shape(count=400, late=0)), key=lambda t: t.occurred_at_ms
    )
    told = events_of(rnd, stream)
    due = sorted(told, key=lambda one: one.event.known_at_ms)
    store, values, i = MemoryStore(LIFECYCLE, **TERMS), {}, 0
    for t in stream:
        while i < len(due) and due[i].event.known_at_ms <= t.occurred_at_ms:
            await store.learn([due[i]])
            i += 1
        (seen,) = await store.observe([check(t)])
        values[t.id] = seen.values
    con = duckdb.connect()
    con.register("payments", table(stream))
    con.register("events", events_table([*told, *rnd.sample(told, 20)]))
    rows = offline_features(con, LIFECYCLE, OfflineInput("payments", events="events"))
    beside = [
        i
        for i, names in enumerate(LIFECYCLE.slot_features)
        if "card_count_1d" not in names
    ]
    for id_, stored in zip(rows.ids, rows.stored, strict=True):
        differ = wrong(values[id_], stored)
        assert [names for names in differ if "card_count_1d" not in names] == []
    counted = rows.stored[:, beside]
    assert (np.nan_to_num(counted) > 0).mean() > 0.2, "the test proves less"


def test_what_happened_to_a_payment_that_came_too_late_counts_the_payment_does_not():
    con = duckdb.connect()
    late, next_ = Transaction("default", "late"), Transaction("default", "next")
    common = {"currency": "EUR", "card": "c1", "amount_minor": 100}
    payments = [
        replace(late, occurred_at_ms=DAY_MS, **common),
        replace(next_, occurred_at_ms=DAY_MS + 60_000, **common),
    ]
    declined = LifecycleEvent("default", "late", "e1", 2, DAY_MS + 1_000)
    con.register(
        "payments", table(payments).append_column("too_late", pa.array([True, False]))
    )
    con.register("events", events_table([TransactionEvent(payments[0], declined)]))
    rows = offline_features(con, LIFECYCLE, OfflineInput("payments", events="events"))
    of_next = dict(
        zip(LIFECYCLE.names, rows.matrix[list(rows.ids).index("next")], strict=True)
    )
    assert of_next["card_declines_10m"] == 1
    assert of_next["card_count_1d"] == 1


def test_a_table_of_payments_without_events_is_refused():
    con = duckdb.connect()
    con.register("payments", table(transactions(random.Random(1), Shape(count=5))))
    with pytest.raises(BadArtifact, match="--events"):
        offline_features(con, LIFECYCLE, OfflineInput("payments"))


def defined(**fields):
    given = {
        "name": "x_{window}",
        "entity": "card",
        "statistic": "count",
        "windows": ["1h"],
        "reason_group": "ANY",
        "description": "x",
    } | fields
    listed = ", ".join(f"{k}: {v!r}" for k, v in given.items())
    return load_catalogue(
        "name: x\ncurrency: {reference: EUR}\nentities: {card: card}\n"
        f"features:\n  - {{{listed}}}\n",
        name="x.yaml",
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"filter": 'issuer_outcome == "DECLINE"'}, "did you mean 'DECLINED'"),
        ({"filter": 'event == "REFUND"'}, "did you mean 'REFUNDED'"),
        (
            {"filter": 'event == "REFUNDED"', "statistic": "new", "of": "merchant"},
            "takes no 'filter'",
        ),
        (
            {"filter": 'event == "REFUNDED"', "statistic": "std"},
            "only count, sum, mean, max, min, distinct",
        ),
        ({"filter": 'event == "REFUNDED" and outcome == "DECLINE"'}, "not both"),
        ({"statistic": "sum", "measure": "event_amount"}, "say which events"),
    ],
)
def test_a_statistic_that_cannot_count_events_is_refused_with_what_would_be_right(
    fields, said
):
    with pytest.raises(BadArtifact, match=said):
        defined(**fields)


def test_a_catalogue_without_event_statistics_keeps_nothing_of_events():
    plain = defined()
    assert [plan.name for plan in plain.plans] == ["card"]
    events = defined(filter="known(event)")
    assert [plan.name for plan in events.plans] == ["card.events"]
    assert plain.retention_ms == DAY_MS
