"""The quality figures agree with their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from scoring.training.dataset import CardDays
from scoring.training.quality import (
    auc,
    average_precision,
    card_precision,
    quality_report,
)

ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({y for _, y in rows}) == 2)


@given(ROWS)
def test_auc_and_average_precision_equal_scikit_learn_with_ties(rows):
    scores = np.array([s for s, _ in rows], dtype=float)
    labels = np.array([y for _, y in rows])
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(scores, labels) == pytest.approx(
        average_precision_score(labels, scores)
    )


def test_a_customer_found_on_one_day_is_not_looked_at_on_the_next():
    scores = np.array([0.9, 0.9, 0.1])
    labels = np.array([True, True, True])
    whose = CardDays(np.array(["a", "a", "b"]), np.array([0, 1, 1]))
    assert card_precision(scores, labels, whose, top=1) == 1.0
    assert card_precision(scores, labels, whose, top=2) == 0.5


def test_precision_counts_against_the_budget_even_when_few_customers_paid():
    whose = CardDays(np.array(["a"]), np.array([0]))
    found = card_precision(np.array([0.9]), np.array([True]), whose)
    assert found == 0.01


def test_one_class_only_leaves_ranking_figures_unknown():
    quality = quality_report(
        [0.1, 0.2], [0, 0], card_days=CardDays(np.array(["a", "b"]), np.array([0, 0]))
    )
    assert quality.auc is None
    assert quality.average_precision is None
    assert quality.card_precision_100 is None
    assert quality.recall_at == {}
    assert quality.as_dict()["frauds"] == 0


def test_a_perfectly_calibrated_score_has_no_calibration_error():
    p = np.repeat([0.0, 0.5, 1.0], 20)
    y = np.concatenate((np.zeros(20), np.arange(20) % 2, np.ones(20)))
    assert quality_report(p, y).ece == pytest.approx(0)
