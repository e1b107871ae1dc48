"""A filter means the same in Python and in SQL, also where fields are missing."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.features.catalogue import default_catalogue
from scoring.core.features.expression import parse
from scoring.core.features.measure import reader
from scoring.core.transaction.transaction import Transaction
from scoring.training.offline.rates import with_amounts

EXPRESSIONS = (
    "amount > 500",
    "amount / 100 >= 5 and not (hour <= 6)",
    "channel == 'ECOMMERCE' or entry_mode in ['CHIP', 'WALLET']",
    "card_country != merchant_country",
    "ip_country not in ['DE', 'FR'] and known(device)",
    "not known(card_country) or card_country == 'DE'",
    "weekday >= 5",
    "attempt > 1 or amount == 0",
    "latitude < -1.5",
    "amount - 3 * attempt",
    "amount / attempt > 2 or known(amount / attempt)",
    "known(7) and 7 > 2 and not (3 == 4) and hour / 0 == 1",
    " and ".join(["hour <= 22"] * 60),
)
CATALOGUE = default_catalogue()
COUNTRY = st.sampled_from(("", "DE", "FR", "US"))
PAYMENTS = st.builds(
    Transaction,
    tenant=st.just("default"),
    id=st.just("t"),
    attempt=st.integers(0, 3),
    occurred_at_ms=st.integers(946_684_800_000, 4_102_444_800_000),
    amount_minor=st.integers(0, 10**13),
    currency=st.sampled_from(("EUR", "JPY", "USD", "XTS")),
    device=st.sampled_from(("", "d'1")),
    channel=st.integers(0, 5),
    entry_mode=st.integers(0, 6),
    card_country=COUNTRY,
    merchant_country=COUNTRY,
    ip_country=COUNTRY,
    latitude=st.none() | st.floats(-90, 90),
)


@pytest.fixture(scope="module")
def con():
    return duckdb.connect()


@given(payments=st.lists(PAYMENTS, min_size=1, max_size=20))
def test_an_expression_means_the_same_in_python_and_in_sql(con, payments):
    fields = [f for f in Transaction.__slots__ if f != "attributes"]
    columns = {f: [getattr(t, f) for t in payments] for f in fields}
    columns |= {
        f: pa.array(columns[f], pa.float64()) for f in ("latitude", "longitude")
    }
    con.register("payments", pa.table(columns | {"n": range(len(payments))}))
    read = reader(*(parse(text).python for text in EXPRESSIONS))
    listed = ", ".join(parse(text).sql for text in EXPRESSIONS)
    rows = con.sql(
        f"SELECT {listed} FROM "  # noqa: S608 - our own expressions
        f"{with_amounts(con, CATALOGUE, 'payments')} ORDER BY n"
    ).fetchall()
    for t, row in zip(payments, rows, strict=True):
        amount = CATALOGUE.amount(t)
        assert read(t, amount) == row
