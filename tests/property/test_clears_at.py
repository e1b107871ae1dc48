"""When a velocity limit clears, against asking at every millisecond."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.features.catalogue import Catalogue, load_catalogue
from scoring.core.policy.decide import Evidence, clears_at, decide
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.transaction.transaction import Transaction

NOW_MS = 1_700_000_000_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
STEP_MS = 600_000  # histories are in steps of ten minutes, so that a scan is short
WHENS = (
    "features.count_1h > 2.0",
    "features.sum_1d >= 500.0",
    "features.count_1h > 1.0 && features.sum_1d > 300.0",
    "features.count_1h > 3.0 || features.sum_1d > 900.0",
    "!(features.count_1h <= 2.0 && features.count_1d <= 4.0)",
    "features.count_1h * 100.0 + features.sum_1d > 800.0",
)


def catalogue() -> Catalogue:
    features = "".join(
        f"  - {{name: '{kind}_{{window}}', entity: card, statistic: {kind}, "
        f"windows: [{windows}], reason_group: VELOCITY, description: a {kind}}}\n"
        for kind, windows in (("count", "1h, 1d"), ("sum", "1h, 1d"))
    )
    return load_catalogue(
        "name: two\ncurrency: {reference: EUR}\nentities: {card: card}\n"
        f"features:\n{features}",
        name="two.yaml",
    )


CATALOGUE = catalogue()


def policy(when: str) -> Policy:
    text = f"""
version: 1
name: velocity
thresholds: {{default: {{}}}}
rules: [{{id: fast, when: '{when}', then: decline, reason_code: FAST}}]
default: {{reason_code: FAST}}
approved: FAST
reasons: {{FAST: It was used very often.}}
"""
    return load_policy(text, catalogue=CATALOGUE, name="velocity.yaml")


POLICIES = [policy(when) for when in WHENS]


def vector(events: list[tuple[int, int]], at_ms: int) -> np.ndarray:
    """What (time, amount) events make of the features at an instant."""
    values = []
    for name in CATALOGUE.names:
        kind, window = name.split("_")
        since = at_ms - (HOUR_MS if window == "1h" else DAY_MS)
        inside = [amount for at, amount in events if since < at <= at_ms]
        values.append(len(inside) if kind == "count" else sum(inside))
    return np.array(values, dtype=np.float32)


@given(
    st.sampled_from(range(len(WHENS))),
    st.lists(
        st.tuples(st.integers(0, 143), st.sampled_from([10, 50, 100, 300])),
        max_size=12,
    ),
)
def test_the_clearing_time_is_the_first_instant_at_which_the_rule_does_not_hold(
    which: int, history: list[tuple[int, int]]
) -> None:
    by = POLICIES[which]
    transaction = Transaction("default", "t", occurred_at_ms=NOW_MS, card="c")
    events = [(NOW_MS - steps * STEP_MS, amount) for steps, amount in history]
    events.append((NOW_MS, 100))

    def holds(at_ms: int) -> bool:
        row = vector(events, at_ms).tolist()
        return bool(by.program.evaluate(row, transaction, at_ms, 0.0)[0])

    core = decide(
        transaction,
        b"h",
        policy=by,
        evidence=Evidence(vector=vector(events, NOW_MS), probability=0.0),
    )
    assert bool(core.rule_hits) is holds(NOW_MS)
    if not core.rule_hits:
        return
    leaving = {at + window for at, _ in events for window in (HOUR_MS, DAY_MS)}
    instants = sorted(at for at in leaving if at > NOW_MS)
    rows = np.stack([vector(events, at) for at in instants])
    told = clears_at(core, transaction, by, instants, rows)
    velocity = told.reasons[0].velocity
    assert velocity is not None
    scan = range(NOW_MS, NOW_MS + DAY_MS + 1, STEP_MS)
    assert velocity.clears_at_ms == next(at for at in scan if not holds(at))
