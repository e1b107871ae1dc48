"""What a let-through sample tells: its interval covers what is true."""

from __future__ import annotations

import numpy as np

from scoring.core.policy.rollout import point_of
from scoring.core.policy.sample_figures import precision_of_declines, realised_share
from scoring.core.transaction.transaction import Transaction

WORLDS, DECLINES = 1_000, 20_000


def test_the_interval_covers_the_true_precision_in_95_of_100_worlds():
    rng = np.random.default_rng(11)
    covered = 0
    for world in range(WORLDS):
        precision = (0.2, 0.5, 0.8, 0.95)[world % 4]
        share = (0.01, 0.02, 0.05)[world % 3]
        fraud = rng.random(DECLINES) < precision
        chosen = rng.random(DECLINES) < share
        found = precision_of_declines([share] * int(chosen.sum()), fraud[chosen])
        assert found is not None
        covered += found.low <= fraud.mean() <= found.high
    assert 0.93 <= covered / WORLDS <= 0.97


def test_payments_of_two_shares_weigh_as_many_as_they_stand_for():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        share = np.where(rng.random(DECLINES) < 0.5, 0.01, 0.05)  # raised at noon
        fraud = rng.random(DECLINES) < np.where(share == 0.01, 0.9, 0.4)
        chosen = rng.random(DECLINES) < share
        found = precision_of_declines(share[chosen].tolist(), fraud[chosen].tolist())
        assert found is not None
        covered += found.low <= fraud.mean() <= found.high
    assert covered / 400 >= 0.9
    assert precision_of_declines([], []) is None


def test_of_100_000_would_be_declines_the_set_share_is_let_through():
    share, n = 0.02, 100_000
    chosen = sum(point_of(Transaction("s", f"t{i}"), "let_through") < share
                 for i in range(n))  # fmt: skip
    found = realised_share(chosen, n)
    assert found is not None
    assert abs(found.share / share - 1) < 0.1
    assert found.low <= share <= found.high
    assert realised_share(0, 0) is None
