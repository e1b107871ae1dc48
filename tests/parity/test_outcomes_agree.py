"""Statistics that count by outcome: three engines, equal cell by cell."""

import random

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from outcomes import OUTCOMES, recorded
from streams import DEDUPE_MS, LATENESS_MS, Shape, check, transactions

from scoring.core.decision.decision import Outcome
from scoring.core.features.batch_split import apart
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact
from scoring.stores.memory.store import MemoryStore
from scoring.stores.redis.store import RedisStore
from scoring.training.offline.engine import OfflineInput, offline_features

TERMS = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}


def wrong(ours, theirs, inexact=()):
    differ = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    return [
        OUTCOMES.slot_features[i]
        for i in np.flatnonzero(differ)
        if not set(OUTCOMES.slot_features[i]) & set(inexact)
    ]


async def decided(store, stream, outcomes):
    """Observe and record as the pipeline does; the observations in order."""
    seen = []
    for piece in apart(OUTCOMES, stream):
        checks = [check(t) for t in stream[piece]]
        seen += await store.observe(checks)
        ours = outcomes[piece]
        await store.record([recorded(c, o) for c, o in zip(checks, ours, strict=True)])
    return seen


def table(stream, outcomes, seen):
    fields = [f for f in Transaction.__slots__ if f != "attributes"]
    columns = {f: [getattr(t, f) for t in stream] for f in fields}
    for f in ("latitude", "longitude"):
        columns[f] = pa.array(columns[f], pa.float64())
    columns["outcome"] = [outcome.name.lower() for outcome in outcomes]
    columns["processed_seq"] = [o.processed_seq for o in seen]
    return pa.table(columns)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hot", [False, True])
async def test_all_engines_count_the_same_outcomes(
    seed, hot, store_url, store_namespace
):
    rnd = random.Random(seed)
    stream = transactions(rnd, Shape(count=800 if hot else 400, hot=hot))
    outcomes = [rnd.choice(list(Outcome)[1:]) for _ in stream]
    store = await RedisStore.connect(
        store_url, catalogue=OUTCOMES, namespace=store_namespace, **TERMS
    )
    ours = await decided(store, stream, outcomes)
    await store.close()
    theirs = await decided(MemoryStore(OUTCOMES, **TERMS), stream, outcomes)
    inexact = 0
    for a, b in zip(ours, theirs, strict=True):
        assert a.applied is b.applied
        assert not wrong(a.values, b.values, a.inexact)
        inexact += bool(a.inexact)
    assert inexact or not hot, "no event was ever merged: the test proves less"
    con = duckdb.connect()
    con.register("payments", table(stream, outcomes, theirs))
    rows = offline_features(
        con, OUTCOMES, OfflineInput("payments", lateness_ms=LATENESS_MS)
    )
    place = {id_: i for i, id_ in enumerate(rows.ids)}
    for t, o in zip(stream, theirs, strict=True):
        assert not wrong(o.values, rows.stored[place[t.id]])


def test_a_table_without_outcomes_is_refused_and_never_read_as_none_declined():
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE payments AS SELECT 'a' AS id, 1::BIGINT AS occurred_at_ms, "
        "1::BIGINT AS amount_minor, 'EUR' AS currency"
    )
    with pytest.raises(BadArtifact, match="add a column `outcome`"):
        offline_features(con, OUTCOMES, OfflineInput("payments"))
