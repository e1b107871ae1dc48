"""The Handbook's published features, where its data is at hand."""

import os
import random
from heapq import heappop, heappush
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from streams import DAY_MS, DEDUPE_MS, HOUR_MS, check

from scoring.core.features.catalogue import handbook_catalogue
from scoring.core.features.vector import vectorise
from scoring.core.transaction.transaction import Transaction, order_hash
from scoring.ports.follow_ups import LabelledTransaction
from scoring.stores.redis.store import RedisStore
from scoring.training.offline.engine import OfflineInput, offline_features

GOLDEN = "fdh_golden_features_d101_d157.parquet"
HANDBOOK = handbook_catalogue()
FIRST_DAY, LAST_DAY = 101, 157
# SCORING_GOLDEN=whole: all that is published, warmed from the first day; half an hour.
# Otherwise warmed from where no window reaches back any more, and online three days.
DAYS = (
    (0, LAST_DAY)
    if os.environ.get("SCORING_GOLDEN") == "whole"
    else (FIRST_DAY - 38, FIRST_DAY + 2)
)
ROWS_MIN = 20_000
PATIENCE_S = 300.0  # the machine may be busy
CHECKED_FROM_MS = 1_531_267_200_000  # 2018-07-11, day 101
BATCH = 500
# Ten pairs of payments of one customer in one second: their order is not published.
TIES_MAX = 20
PUBLISHED = {
    "CUSTOMER_ID_NB_TX_{}DAY_WINDOW": ("customer_count_{}d", 1),
    "CUSTOMER_ID_AVG_AMOUNT_{}DAY_WINDOW": ("customer_mean_{}d", 100),
    "TERMINAL_ID_NB_TX_{}DAY_WINDOW": ("terminal_count_{}d", 1),
    "TERMINAL_ID_RISK_{}DAY_WINDOW": ("terminal_fraud_rate_{}d", 1),
}


@pytest.fixture(scope="module")
def tables(handbook_data):
    golden = Path(handbook_data) / GOLDEN
    if not golden.exists():
        pytest.skip(f"{GOLDEN} is not at hand")
    con = duckdb.connect()
    con.execute("SET threads = 2")
    con.execute(
        f"""CREATE VIEW raw AS
        SELECT * FROM '{handbook_data}/fdh_raw.parquet'
        WHERE TX_TIME_DAYS BETWEEN {DAYS[0]} AND {LAST_DAY}"""  # noqa: S608
    )
    con.execute(
        """CREATE VIEW payments AS SELECT TRANSACTION_ID::VARCHAR AS id,
        epoch_ms(TX_DATETIME) AS occurred_at_ms, 'EUR' AS currency,
        round(TX_AMOUNT * 100)::BIGINT AS amount_minor,
        CUSTOMER_ID::VARCHAR AS customer, TERMINAL_ID::VARCHAR AS terminal FROM raw"""
    )
    con.execute(
        f"""CREATE VIEW labels AS SELECT TRANSACTION_ID::VARCHAR AS transaction_id,
        1 AS version, true AS fraud,
        epoch_ms(TX_DATETIME) + {7 * DAY_MS} AS known_at_ms FROM raw WHERE TX_FRAUD"""  # noqa: S608
    )
    yield con, con.sql(f"SELECT * FROM '{golden}'").fetchnumpy()  # noqa: S608
    con.close()


def wrong_rows(catalogue, ours, golden, chosen=slice(None)):
    wrong = np.zeros(len(ours), dtype=bool)
    for theirs, (name, scale) in PUBLISHED.items():
        for days in (1, 7, 30):
            column = ours[:, catalogue.names.index(name.format(days))] / scale
            published = golden[theirs.format(days)][chosen]
            wrong |= ~np.isclose(column, published, rtol=1e-5, atol=1e-6)
    return wrong


def test_offline_features_equal_the_published_ones_but_for_ties(tables):
    con, golden = tables
    rows = offline_features(con, HANDBOOK, OfflineInput("payments", "labels"))
    place = {int(id_): i for i, id_ in enumerate(rows.ids)}
    ours = rows.matrix[[place[i] for i in golden["TRANSACTION_ID"].tolist()]]
    assert len(ours) > 500_000
    assert wrong_rows(HANDBOOK, ours, golden).sum() <= TIES_MAX


needs_minutes = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "nightly", reason="minutes: nightly only"
)


@pytest.fixture
async def online(store_url, store_namespace):
    store = await RedisStore.connect(
        store_url,
        catalogue=HANDBOOK,
        namespace=store_namespace,
        lateness_ms=DAY_MS,
        dedupe_ms=DEDUPE_MS,
    )
    yield store
    await store.close()


@needs_minutes
@pytest.mark.timeout(5_400)
async def test_online_features_equal_the_published_ones_also_when_redelivered(
    tables, online
):
    _, golden = tables
    arrived = list(payments(tables))
    found = await served(online, arrived, again=0.03)
    ours, chosen = beside(golden, found)
    assert len(chosen) > ROWS_MIN
    wrong = wrong_rows(HANDBOOK, ours, golden, chosen).sum()
    print(f"{len(chosen):,} rows, {wrong} differ")
    assert wrong <= TIES_MAX


@needs_minutes
@pytest.mark.timeout(5_400)
async def test_late_payments_change_only_the_rows_that_overtook_them(tables, online):
    con, golden = tables
    arrived = arriving_late(list(payments(tables)), share=0.02, late_ms_max=2 * HOUR_MS)
    found = await served(online, arrived)
    overtook = {str(id_) for id_ in golden["TRANSACTION_ID"]} & overtaking(arrived)
    ours, chosen = beside(golden, {i: v for i, v in found.items() if i not in overtook})
    assert len(chosen) > ROWS_MIN
    wrong = wrong_rows(HANDBOOK, ours, golden, chosen).sum()
    assert wrong <= TIES_MAX
    seen = [id_ for id_ in found if id_ in overtook]
    expected = by_the_reference(con, arrived, set(seen))
    differ = [i for i in seen if not np.array_equal(found[i], expected[i], True)]
    print(
        f"{len(chosen):,} rows, {wrong} differ; {len(seen):,} overtook an earlier "
        f"payment, {len(differ)} differ from the reference engine's"
    )
    assert seen
    assert not differ


def payments(tables):
    """(payment, whether it is a fraud), in the Handbook's order."""
    con, _ = tables
    rows = con.cursor().execute(
        f"""SELECT TRANSACTION_ID::VARCHAR, epoch_ms(TX_DATETIME),
        round(TX_AMOUNT * 100)::BIGINT, CUSTOMER_ID::VARCHAR, TERMINAL_ID::VARCHAR,
        TX_FRAUD FROM raw WHERE TX_TIME_DAYS BETWEEN {DAYS[0]} AND {DAYS[1]}
        ORDER BY TRANSACTION_ID::BIGINT"""  # noqa: S608
    )
    while chunk := rows.fetchmany(100_000):
        for *fields, fraud in chunk:
            yield payment(*fields), bool(fraud)


def payment(id_, at_ms, amount_minor, customer, terminal):
    return Transaction(
        "default",
        id_,
        occurred_at_ms=at_ms,
        amount_minor=amount_minor,
        currency="EUR",
        customer=customer,
        terminal=terminal,
    )


def arriving_late(rows, *, share, late_ms_max):
    """The rows in the order of their arrival, some of them late."""
    rnd = random.Random(11)
    arrivals = [
        t.occurred_at_ms + rnd.randrange(1, late_ms_max) * (rnd.random() < share)
        for t, _ in rows
    ]
    return [rows[i] for i in np.argsort(arrivals, kind="stable")]


def overtaking(arrived):
    """Payments processed before an earlier one of their customer or terminal."""
    waiting = {}  # by entity: the earliest still to come, from the last backwards
    found = set()
    for t, _ in reversed(arrived):
        place = (t.occurred_at_ms, order_hash(t.id))
        for entity in (("c", t.customer), ("t", t.terminal)):
            earliest = waiting.get(entity)
            if earliest is not None and earliest < place:
                found.add(t.id)
            else:
                waiting[entity] = place
    return found


async def served(store, arrived, *, again=0.0):
    """The vectors served; some payments come twice, labels in their time."""
    rnd, found, newest_ms = random.Random(7), {}, 0
    unlearned = []
    for i in range(0, len(arrived), BATCH):
        fresh = arrived[i : i + BATCH]
        newest_ms = max(newest_ms, *(t.occurred_at_ms for t, _ in fresh))
        due = []
        while unlearned and unlearned[0][0] <= newest_ms:
            due.append(heappop(unlearned)[2])
        await store.learn(due, timeout_s=PATIENCE_S)
        batch = [t for t, _ in fresh] + [t for t, _ in fresh if rnd.random() < again]
        seen = await store.observe([check(t) for t in batch], timeout_s=PATIENCE_S)
        if newest_ms >= CHECKED_FROM_MS:
            vectors = vectorise(HANDBOOK, batch, [o.values for o in seen])
            found |= {
                t.id: vector
                for t, vector in zip(batch, vectors, strict=True)
                if t.occurred_at_ms >= CHECKED_FROM_MS
            }
        for t, fraud in fresh:
            if fraud:
                heappush(unlearned, (t.occurred_at_ms + 7 * DAY_MS, t.id, label(t)))
    return found


def label(t):
    return LabelledTransaction(
        transaction=t,
        version=1,
        fraud=True,
        known_at_ms=t.occurred_at_ms + 7 * DAY_MS,
    )


def beside(golden, found):
    """Ours in the order of the published rows, and which of them were served."""
    ids = [str(id_) for id_ in golden["TRANSACTION_ID"].tolist()]
    chosen = [i for i, id_ in enumerate(ids) if id_ in found]
    return np.array([found[ids[i]] for i in chosen]), chosen


def by_the_reference(con, arrived, wanted):
    """What the reference engine says, fed the order of arrival."""
    order = pa.table(
        {"id": [t.id for t, _ in arrived], "processed_seq": range(1, len(arrived) + 1)}
    )
    con.register("arrived", order)
    con.execute(
        "CREATE OR REPLACE TEMP VIEW processed AS "
        "SELECT payments.*, processed_seq FROM payments JOIN arrived USING (id)"
    )
    rows = offline_features(
        con, HANDBOOK, OfflineInput("processed", "labels", lateness_ms=DAY_MS)
    )
    return {
        id_: vector
        for id_, vector in zip(rows.ids, rows.matrix, strict=True)
        if id_ in wanted
    }
