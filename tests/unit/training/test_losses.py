"""A model knows payments without history, though no table holds one."""

import numpy as np
import pytest
from small_model import RECIPE, START_MS, small_catalogue

from scoring.core.decision.decision import Degradation, DegradationCode, Outcome
from scoring.core.features.catalogue import default_catalogue, handbook_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import load_policy
from scoring.core.policy.shipped_policy import shipped_text
from scoring.core.transaction.transaction import Transaction
from scoring.models.onnx_model import load_model
from scoring.training import losses
from scoring.training.build import train_on
from scoring.training.dataset import DAY_MS, Dataset
from scoring.training.losses import LOST_SHARE, Losses

BOOK = handbook_catalogue()
AWAY = Degradation(DegradationCode.HISTORY_UNAVAILABLE, "store")
SMALL = Transaction("default", "t", amount_minor=2_000, currency="EUR")


def with_history(rows=6_000):
    """Rows of which each has its history; a terminal with frauds brings more."""
    rng = np.random.default_rng(0)
    matrix = rng.random((rows, len(BOOK.names))).astype(np.float32)
    risk = matrix[:, BOOK.names.index("terminal_fraud_rate_7d")]
    return Dataset(
        names=BOOK.names,
        matrix=matrix,
        fraud=rng.random(rows) < np.where(risk > 0.95, 0.8, 0.005),
        occurred_at_ms=START_MS + np.sort(rng.integers(0, 20 * DAY_MS, rows)),
        customers=rng.integers(0, 500, rows),
        amount_minor=rng.integers(1, 10_000, rows),
    )


def without_history(dataset, out):
    """What a model of these rows says, and is decided, without the store."""
    train_on(dataset, out, catalogue=BOOK, recipe=RECIPE)
    model = load_model(out, catalogue=BOOK)
    blind = dataset.matrix[:200].copy()
    blind[:, [bool(f.slots) for f in map(BOOK.features.get, BOOK.names)]] = np.nan
    said = model.predict(blind)
    policy = load_policy(shipped_text(BOOK), catalogue=BOOK, name="policy")
    outcomes = [
        decide(
            SMALL,
            b"h" * 32,
            policy=policy,
            evidence=Evidence(
                vector=vector,
                margin=float(margin),
                probability=float(probability),
                degradations=(AWAY,),
            ),
        ).outcome
        for vector, margin, probability in zip(
            blind, said.margin, said.probability, strict=True
        )
    ]
    return said.probability, outcomes


def test_a_payment_whose_history_is_lost_is_as_likely_fraud_as_any(tmp_path):
    dataset = with_history()
    probability, outcomes = without_history(dataset, tmp_path)
    assert abs(probability.mean() - dataset.fraud.mean()) < 0.02
    assert Outcome.DECLINE not in outcomes


def test_learned_from_whole_rows_alone_most_such_payments_are_refused(
    tmp_path, monkeypatch
):
    # The fault that the losses mend, which the test above can see.
    monkeypatch.setattr(losses, "LOST_SHARE", 0.0)
    _, outcomes = without_history(with_history(), tmp_path)
    assert outcomes.count(Outcome.CHALLENGE) + outcomes.count(Outcome.APPROVE) == 0


@pytest.mark.parametrize("catalogue", [default_catalogue(), BOOK])
def test_a_share_of_the_rows_is_repeated_without_all_or_without_one_history(catalogue):
    chosen = np.arange(1_000, 5_000)
    matrix = np.random.default_rng(1).random((6_000, len(catalogue.names)))
    fraud = matrix[:, 0] > 0.9
    lost = Losses.from_catalogue(catalogue)
    seen, told = lost.learned(matrix.astype(np.float32), fraud, chosen, seed=3)
    assert np.array_equal(seen[:4_000], matrix[chosen].astype(np.float32))
    assert np.array_equal(told[:4_000], fraud[chosen])
    copies, missing = seen[4_000:], np.isnan(seen[4_000:])
    assert abs(len(copies) / 4_000 - LOST_SHARE) < 0.02
    kinds = {tuple(row) for row in missing.tolist()}
    every = tuple(bool(f.slots) for f in map(catalogue.features.get, catalogue.names))
    assert kinds == {every, *map(tuple, lost.histories.tolist())}
    assert abs((missing == every).all(axis=1).mean() - 0.5) < 0.1
    # What is not lost, and whether it was fraud, is as it was.
    assert np.array_equal(copies[:, 0] > 0.9, told[4_000:])


def test_the_same_seed_repeats_the_same_rows():
    lost = Losses.from_catalogue(BOOK)
    rows = with_history(500)
    taken = [
        lost.learned(rows.matrix, rows.fraud, np.arange(500), seed=seed)[0]
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(taken[0], taken[1], equal_nan=True)
    assert not np.array_equal(taken[0], taken[2], equal_nan=True)


def test_definitions_without_history_lose_nothing():
    rows = np.ones((10, 6), dtype=np.float32)
    lost = Losses.from_catalogue(small_catalogue())
    seen, _ = lost.learned(rows, rows[:, 0] > 0, np.arange(10), seed=0)
    assert len(seen) == 10
