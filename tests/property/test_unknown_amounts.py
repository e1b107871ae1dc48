"""What rests on a window that holds an unknown amount says so, and nothing else."""

from math import isnan
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rates_parts import rates_of

from scoring.core.features.catalogue import load_catalogue
from scoring.core.features.reference import Reference
from scoring.core.features.unknown_amounts import unknown_amounts
from scoring.core.features.vector import vectorise
from scoring.core.transaction.transaction import Transaction

CATALOGUE = load_catalogue(
    """\
name: amounts
currency: {reference: EUR}
entities: {card: card}
features:
  - {name: "count_{window}", entity: card, statistic: count, windows: [1h, 1d]}
  - {name: "sum_{window}", entity: card, statistic: sum, windows: [1h, 1d]}
  - {name: "max_{window}", entity: card, statistic: max, windows: [1h, 1d]}
  - {name: "min_{window}", entity: card, statistic: min, windows: [1h, 1d]}
  - {name: "mean_{window}", entity: card, statistic: mean, windows: [1h, 1d]}
  - {name: "std_{window}", entity: card, statistic: std, windows: [1h, 1d]}
  - {name: "ratio_{window}", entity: card, statistic: ratio_to_mean,
     windows: [1h, 1d]}
  - {name: "tries_{window}", entity: card, statistic: sum, measure: attempt,
     windows: [1h, 1d]}
  - {name: "online_{window}", entity: card, statistic: sum, windows: [1h, 1d],
     filter: "channel == 'ECOMMERCE'"}
  - {name: "large_{window}", entity: card, statistic: count, windows: [1h, 1d],
     filter: "amount >= 500"}
""".replace("windows:", "reason_group: G, description: D, windows:"),
    name="amounts.yaml",
).converting_by(rates_of(USD=2))
WINDOWS_MS = {"1h": 3_600_000, "1d": 86_400_000}
MINUTE_MS = 60_000
payments = st.lists(
    st.tuples(
        st.integers(0, 3_000),  # minutes
        st.none() | st.integers(0, 1_000),
        st.sampled_from(["EUR", "EUR", "USD", "KWD"]),
        st.sampled_from([2, 3]),
    ),
    min_size=1,
    max_size=12,
)


def stream_of(drawn):
    drawn = sorted(drawn, key=itemgetter(0))
    return [
        Transaction(
            "default", f"t{i}", attempt=1, occurred_at_ms=10**12 + minute * MINUTE_MS,
            amount_minor=minor, currency=currency, card="c1", channel=channel,
        )
        for i, (minute, minor, currency, channel) in enumerate(drawn)
    ]  # fmt: skip


def expected(stream, i, window_ms):
    """Names of this window's features that hold an unknown amount."""
    within = [
        t
        for t in stream[: i + 1]
        if t.occurred_at_ms > stream[i].occurred_at_ms - window_ms
    ]
    unknown = [t for t in within if CATALOGUE.amount(t) is None]
    names = {"sum", "max", "min", "mean", "std", "large"} if unknown else set()
    if any(t is not stream[i] for t in unknown):
        names.add("ratio")
    if any(t.channel == 2 for t in unknown):
        names.add("online")
    return names, within


@given(payments)
def test_a_window_that_holds_an_unknown_amount_says_so(drawn):
    stream, engine = stream_of(drawn), Reference(CATALOGUE)
    for i, t in enumerate(stream):
        values = [engine.evaluate(t)]
        engine.add(t)
        vector = dict(
            zip(CATALOGUE.names, vectorise(CATALOGUE, [t], values)[0], strict=True)
        )
        [held] = unknown_amounts(CATALOGUE, values)
        said = set()
        for window, window_ms in WINDOWS_MS.items():
            names, within = expected(stream, i, window_ms)
            said |= {f"{name}_{window}" for name in names}
            known = [a for w in within if (a := CATALOGUE.amount(w)) is not None]
            assert vector[f"count_{window}"] == len(within)
            assert vector[f"sum_{window}"] == sum(known)
            for mean in ("mean", "std", "ratio"):
                assert mean not in names or isnan(vector[f"{mean}_{window}"])
            if known and "mean" not in names:
                mean = sum(known) / len(known)
                assert vector[f"mean_{window}"] == pytest.approx(mean)
        assert held.features == said
        assert held.entities == (("card",) if said else ())
