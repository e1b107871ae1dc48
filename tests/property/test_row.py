"""A payment computed alone and as a row of a table: the same bits."""

from math import inf, nan

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rates_parts import rates_of

from scoring.core.features.catalogue import load_catalogue
from scoring.core.features.derivation import FORMULAS
from scoring.core.features.row import measured_value, own_value
from scoring.core.features.vector import DerivationColumns, derive, vectorise
from scoring.core.transaction.transaction import Transaction

PRIOR = "prior: {frauds: 0.5, transactions: 100}"
# One of each formula, and beside some what a default and a window change.
CATALOGUE = load_catalogue(
    """\
name: every-formula
currency: {reference: EUR}
horizon: 90d
entities: {card: card}
features:
"""
    + "".join(
        f"  - {{entity: card, reason_group: ANY, description: any, {text}}}\n"
        for text in (
            "name: count, statistic: count, windows: [1d]",
            "name: min, statistic: min, windows: [1d]",
            "name: mean, statistic: mean, windows: [1d]",
            "name: mean_or_5, statistic: mean, windows: [1d], default: 5",
            "name: std, statistic: std, windows: [7d]",
            "name: new, statistic: new, of: merchant, windows: [30d]",
            "name: since, statistic: since_last",
            "name: age, statistic: age",
            "name: changed, statistic: changed, of: device",
            "name: speed, statistic: speed",
            "name: ratio, statistic: ratio_to_mean, windows: [7d]",
            "name: normal, statistic: normal",
            "name: to_normal, statistic: ratio_to_normal",
            "name: zscore, statistic: zscore, default: -1",
            "name: rate, statistic: fraud_rate, windows: [7d], delay: 7d",
            f"name: rate_2, statistic: fraud_rate, windows: [7d], delay: 7d, {PRIOR}",
        )
    ),
    name="every-formula.yaml",
).converting_by(rates_of(USD="0.87"))
NOW_MS = 1_750_000_000_000
SLOTS = st.one_of(
    st.sampled_from((0.0, nan, inf, 1.0, float(NOW_MS), float(1 << 60))),
    st.integers(0, 400).map(float),
    st.integers(NOW_MS - 10**10, NOW_MS).map(float),
    st.floats(-180, 180),
)
PLACES = st.one_of(st.none(), st.sampled_from((0.0, 90.0, -90.0)), st.floats(-90, 90))
PAYMENTS = st.builds(
    Transaction,
    tenant=st.just("default"),
    id=st.just("t"),
    occurred_at_ms=st.integers(NOW_MS - 10**10, NOW_MS + 10**10),
    amount_minor=st.one_of(st.just(0), st.integers(0, 10**15)),
    currency=st.sampled_from(("EUR", "USD", "XTS")),
    device=st.sampled_from(("", "d1", "d2")),
    latitude=PLACES,
    longitude=PLACES,
)
STORED = st.lists(
    SLOTS, min_size=CATALOGUE.stored_count, max_size=CATALOGUE.stored_count
).map(np.array)


def table(payments, stored):
    """What `derive` reads of the same payments."""
    return DerivationColumns(
        np.array(stored),
        np.array([t.occurred_at_ms for t in payments], dtype=np.float64),
        lambda name: np.array(
            [measured_value(name)(t, CATALOGUE.amount(t)) for t in payments]
        ),
        lambda name: np.array([own_value(t, name) for t in payments]),
        CATALOGUE.horizon_ms,
    )


def test_the_catalogue_has_one_of_each_formula():
    assert {f.derive for f in CATALOGUE.features.values()} == FORMULAS.keys()


@given(given=st.lists(st.tuples(PAYMENTS, STORED), min_size=1, max_size=9))
def test_a_row_is_the_same_to_the_bit_alone_and_in_a_table(given):
    payments, stored = zip(*given, strict=True)
    columns = derive(CATALOGUE, table(payments, stored))
    columns[np.isnan(columns)] = nan
    together = vectorise(CATALOGUE, payments, stored)
    assert together.tobytes() == columns.tobytes()
    alone = [vectorise(CATALOGUE, [t], [s]) for t, s in given]
    assert np.concatenate(alone).tobytes() == together.tobytes()


def test_nothing_is_nothing():
    assert vectorise(CATALOGUE, [], []).shape == (0, len(CATALOGUE.names))
