"""Levels of the score by what outcomes cost, against trying all of them."""

from collections import Counter
from itertools import combinations_with_replacement

import numpy as np
import pytest

from scoring.backtest.costs import (
    Cheapest,
    Costs,
    _best,
    _by_decline,
    _cost,
    cheapest,
    load_costs,
)
from scoring.backtest.proposal import with_levels
from scoring.backtest.result import Curve, CurveCell
from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import asked_by_score
from scoring.core.policy.policy import load_policy
from scoring.core.policy.shipped_policy import shipped_text
from scoring.errors import BadArtifact
from scoring.replay.slices import PaymentClass, PaymentSum

COSTS = """
version: 1
costs:
  missed_fraud: {share: 1.0, fixed_minor: 1000}
  refused_customer: {share: 0.1, fixed_minor: 500}
  challenge: {fixed_minor: 20, genuine_abandons: 0.1, fraud_passes: 0.1}
  review: {fixed_minor: 300, fraud_found: 0.95}
"""


@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_levels_are_those_that_trying_all_finds(seed, monkeypatch):
    monkeypatch.setattr("scoring.backtest.costs.BINS", 12)
    by_band = np.random.default_rng(seed).integers(0, 50, (4, 12)).astype(float)
    every = combinations_with_replacement(range(1, 13), 3)
    least = min(_cost(by_band, edges) for edges in every)
    assert _cost(by_band, _best(by_band)) == least


@pytest.mark.parametrize("seed", range(3))
def test_what_a_level_of_decline_costs_is_what_deciding_by_it_costs(seed, monkeypatch):
    monkeypatch.setattr("scoring.backtest.costs.BINS", 12)
    by_band = np.random.default_rng(seed).integers(0, 50, (4, 12)).astype(float)
    edges = _best(by_band)
    assert _by_decline(by_band, edges) == tuple(
        _cost(by_band, (min(edges[0], d), min(edges[1], d), d)) for d in range(1, 13)
    )


def test_an_outcome_costs_what_is_worked_out_by_hand():
    costs = Costs.model_validate(
        {
            "missed_fraud": {"share": 1.0, "fixed_minor": 1_000},
            "refused_customer": {"share": 0.1, "fixed_minor": 500},
            "challenge": {
                "fixed_minor": 20, "genuine_abandons": 0.1, "fraud_passes": 0.1,
            },
            "review": {"fixed_minor": 300, "fraud_found": 0.95},
        }
    )  # fmt: skip
    fraud, genuine = (2, 30_000), (10, 80_000)
    found = [costs.of(outcome, fraud, genuine) for outcome in Outcome if outcome]
    missed, refused = 32_000, 13_000
    by_hand = [
        missed,
        12 * 20 + 0.1 * missed + 0.1 * refused,
        12 * 300 + 0.05 * missed,
        refused,
    ]
    assert found == pytest.approx(by_hand)


def curve(frauds, segment="all others"):
    cells = []
    for bin_ in range(0, 1_000, 10):
        genuine = PaymentSum(100, {}, 500_000, 100.0, 500_000.0)
        cells.append(CurveCell(bin_, Outcome.APPROVE, PaymentClass.ASSUMED, genuine))
    for bin_ in range(500, 500 + frauds):
        fraud = PaymentSum(40, {}, 4_000_000, 40.0, 4_000_000.0)
        cells.append(CurveCell(bin_, Outcome.APPROVE, PaymentClass.FRAUD, fraud))
    return Curve(segment, (None, None, 0.9), tuple(cells))


def test_levels_fall_to_where_fraud_begins():
    (one,) = cheapest([curve(300)], load_costs(COSTS, name="costs.yaml"))
    assert one.kept == ""
    assert one.cost_minor < one.cost_now_minor
    assert min(level for level in one.chosen if level) == 0.5
    assert len(one.costs) == 1_000


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ((None, None, 0.9), (0.9, 0.9, 0.9)),
        ((None, 0.4, 0.9), (0.4, 0.4, 0.9)),
        ((0.3, None, 0.9), (0.3, 0.9, 0.9)),
        ((0.3, None, None), (0.3, 1.0, 1.0)),
    ],
)
def test_a_level_that_is_not_written_counts_no_payment_twice(written, meant):
    costs = load_costs(COSTS, name="costs.yaml")
    cells = curve(300).cells
    one, other = cheapest([Curve("a", written, cells), Curve("b", meant, cells)], costs)
    assert one.cost_now_minor == pytest.approx(other.cost_now_minor)
    asked = [
        (asked_by_score(cell.bin / 1_000, [1.1 if x is None else x for x in written]))
        for cell in cells
    ]
    by_hand = 0.0
    for outcome, cell in zip(asked, cells, strict=True):
        own, none = (cell.sum.weight, cell.sum.weighted_minor), (0.0, 0.0)
        is_fraud = cell.found is PaymentClass.FRAUD
        both = (own, none) if is_fraud else (none, own)
        by_hand += costs.costs.of(outcome, *both)
    assert one.cost_now_minor == pytest.approx(by_hand)


def test_few_frauds_keep_the_levels_and_say_so():
    few = Curve("all others", (None, None, 0.9), curve(0).cells)
    (one,) = cheapest([few], load_costs(COSTS, name="costs.yaml"))
    assert one.chosen == (None, None, 0.9)
    assert "0 frauds are known" in one.kept


def test_costs_of_a_segment_that_is_none_are_refused():
    text = (
        COSTS
        + "segments:\n  nowhere:"
        + COSTS.split("costs:")[1].replace("\n  ", "\n    ")
    )
    costs = load_costs(text, name="costs.yaml")
    with pytest.raises(BadArtifact, match="'nowhere' is no segment"):
        cheapest([curve(300)], costs)


def test_a_share_above_one_is_refused_with_its_line():
    bad = COSTS.replace("fraud_found: 0.95", "fraud_found: 1.95")
    with pytest.raises(BadArtifact, match=r"costs.yaml:7: costs.review.fraud_found"):
        load_costs(bad, name="costs.yaml")


def test_a_proposal_changes_the_levels_and_no_other_character():
    chosen = [
        Cheapest("a", (), (0.011, 0.3, None), 0, 0, 99, "", ()),
        Cheapest("b", (), (0.02, 0.2, 0.5), 0, 0, 3, "few frauds", ()),
        Cheapest("c", (), (0.04, 0.21, 0.61), 0, 0, 99, "", ()),
    ]
    text = shipped_text()
    proposed = with_levels(text, chosen)
    catalogue = default_catalogue()
    policy = load_policy(proposed, catalogue=catalogue, name="proposal.yaml")
    old = load_policy(text, catalogue=catalogue, name="policy.yaml")
    assert policy.cuts.cases[0][1] == (0.011, 0.3, float("inf"))
    # It is kept, and did not write what the default said of it: now it does.
    assert policy.cuts.cases[1][1] == old.cuts.cases[1][1]
    assert policy.cuts.default == (0.04, 0.21, 0.61)
    before, after = Counter(text.splitlines()), Counter(proposed.splitlines())
    # Of the kept one the first line moves, behind the two that are added.
    assert (before - after).total() == 4 + 1
    assert (after - before).total() == 4 + 1 + 2
    assert proposed.count("#") == text.count("#")


def test_levels_that_were_left_out_are_added_in_the_styles_of_their_file():
    text = "thresholds:\n  default:\n    # why\n    decline: 0.5  # so\n"
    one = Cheapest("all", (), (0.1, 0.2, 0.6), 0, 0, 99, "", ())
    assert with_levels(text, [one]) == (
        "thresholds:\n  default:\n    # why\n    challenge: 0.1\n    review: 0.2\n"
        "    decline: 0.6  # so\n"
    )
