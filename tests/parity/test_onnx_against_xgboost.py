"""The graph scores like XGBoost: on and beside thresholds, and where cells miss."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from small_model import small_dataset

from scoring.errors import BadArtifact
from scoring.models.explainer import exact_contributions
from scoring.training.explain import grouped, top_overlap
from scoring.training.export import ensemble_graph
from scoring.training.fit import Boosting, fit, margins
from scoring.training.forest import forest_from_json
from scoring.training.package import run_graph
from scoring.training.reasons import (
    expected_margin,
    fitted_reasons,
    path_reasons,
    tree_shap,
)
from scoring.training.tensor import tensor_graph

GROUP = np.array([0, 1, 1, 2, 2, 3])


@pytest.fixture(scope="module")
def booster():
    train = small_dataset(4_000)
    return fit(train.labelled(slice(None)), Boosting(rounds=60, rate=0.2, depth_max=6))


@pytest.fixture(scope="module")
def forest(booster):
    return forest_from_json(bytes(booster.save_raw("json")))


@pytest.fixture(scope="module")
def rows(forest):
    """Random rows, rows on and within one step of thresholds, missing cells."""
    rng = np.random.default_rng(5)
    plain = small_dataset(20_000, seed=5).matrix
    for row in plain[10_000:]:
        tree = forest.trees[rng.integers(len(forest.trees))]
        for node in np.flatnonzero(tree.left >= 0):
            at = tree.threshold[node]
            beside = np.nextafter(at, np.float32(rng.choice([-np.inf, np.inf])))
            row[tree.feature[node]] = rng.choice(
                [at, beside, np.nan], p=[0.5, 0.4, 0.1]
            )
    return plain


def test_every_row_reaches_the_leaf_it_reaches_in_xgboost(booster, forest, rows):
    # A graph whose leaves weigh their node's number, tree by tree.
    reached = booster.predict(xgboost.DMatrix(rows), pred_leaf=True)
    for index, tree in enumerate(forest.trees):
        numbered = forest_with_leaf_numbers(forest, index)
        leaf = run_graph(ensemble_graph(numbered), rows)["margin"][:, 0]
        assert np.array_equal(leaf, reached[:, index]), f"tree {index}"
        assert set(np.unique(leaf)) <= set(tree.leaves.tolist())


def forest_with_leaf_numbers(forest, index):
    from dataclasses import replace

    tree = forest.trees[index]
    numbered = replace(tree, value=np.arange(len(tree.left), dtype=float))
    return replace(forest, trees=(numbered,), base_margin=0.0)


def test_probabilities_differ_from_xgboost_by_rounding_only(booster, forest, rows):
    graph = run_graph(ensemble_graph(forest), rows)
    expected = booster.predict(xgboost.DMatrix(rows))
    assert np.abs(graph["score"][:, 0] - expected).max() <= 5e-6


def test_reasons_leave_the_score_as_it_is_to_the_last_bit(forest, rows):
    plain = run_graph(ensemble_graph(forest), rows)["margin"]
    reasons = path_reasons(forest, GROUP, count=4)
    explained = run_graph(ensemble_graph(forest, reasons=reasons), rows)["margin"]
    assert np.array_equal(plain, explained)


def test_path_contributions_add_up_to_the_margin(forest, rows):
    reasons = path_reasons(forest, GROUP, count=4)
    found = run_graph(ensemble_graph(forest, reasons=reasons), rows)
    total = reasons.base + found["contributions"].sum(axis=1)
    assert np.abs(total - found["margin"][:, 0]).max() < 1e-4


def test_our_tree_shap_equals_that_of_xgboost(booster, forest, rows):
    sample = rows[::200]
    ours = sum(tree_shap(tree, sample) for tree in forest.trees)
    exact = exact_contributions(booster, sample)
    assert np.abs(ours - exact[:, :-1]).max() < 1e-4
    assert expected_margin(forest) == pytest.approx(exact[0, -1], abs=1e-4)


def test_fitted_reasons_agree_with_exact_reasons_more_than_paths_do(booster, forest):
    train, fresh = small_dataset(4_000).matrix, small_dataset(1_000, seed=8).matrix
    exact = grouped(exact_contributions(booster, fresh)[:, :-1], GROUP, count=4)
    overlaps = []
    for reasons in (
        path_reasons(forest, GROUP, count=4),
        fitted_reasons(forest, GROUP, count=4, rows=train),
    ):
        found = run_graph(ensemble_graph(forest, reasons=reasons), fresh)
        overlaps.append(top_overlap(found["contributions"].astype(float), exact))
    assert overlaps[1] > overlaps[0] > 0.7


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"objective": "multi:softprob", "num_class": 3}, "objective"),
        ({"objective": "reg:squarederror"}, "objective"),
        ({"objective": "binary:logistic", "booster": "dart"}, "dart"),
        ({"objective": "binary:logistic", "booster": "gblinear"}, "gblinear"),
    ],
)
def test_a_booster_that_we_do_not_compile_is_refused(parameters, problem):
    data = small_dataset(500)
    label = data.fraud.astype(int)
    rows = xgboost.DMatrix(np.nan_to_num(data.matrix), label=label)
    booster = xgboost.train(parameters, rows, 2)
    with pytest.raises(BadArtifact, match=problem):
        forest_from_json(bytes(booster.save_raw("json")))


def test_a_booster_with_categorical_splits_is_refused():
    data = small_dataset(500)
    data.matrix[:, 0] = np.arange(500) % 7
    rows = xgboost.DMatrix(
        data.matrix,
        label=data.matrix[:, 0] % 2,
        feature_types=["c"] + ["float"] * 5,
        enable_categorical=True,
    )
    booster = xgboost.train({"objective": "binary:logistic"}, rows, 2)
    with pytest.raises(BadArtifact, match="categorical"):
        forest_from_json(bytes(booster.save_raw("json")))


def test_margins_are_those_of_the_graph(booster, forest, rows):
    graph = run_graph(ensemble_graph(forest), rows)["margin"][:, 0]
    assert np.abs(graph - margins(booster, rows)).max() < 1e-5


def test_the_tensor_target_scores_like_the_ensemble(forest, rows):
    reasons = path_reasons(forest, GROUP, count=4)
    ensemble = run_graph(ensemble_graph(forest, reasons=reasons), rows)
    tensor = run_graph(tensor_graph(forest, reasons=reasons), rows)
    assert np.abs(ensemble["score"] - tensor["score"]).max() <= 5e-6
    assert np.abs(ensemble["contributions"] - tensor["contributions"]).max() <= 1e-4


def test_a_missing_value_takes_its_default_way_in_the_tensor_target(forest):
    gone = np.full((1, 6), np.nan, np.float32)
    infinite = np.array([[np.inf] * 6, [-np.inf] * 6], np.float32)
    for rows in (gone, infinite):
        ensemble = run_graph(ensemble_graph(forest), rows)["margin"]
        tensor = run_graph(tensor_graph(forest), rows)["margin"]
        assert np.allclose(ensemble, tensor, atol=1e-5)


def test_trees_too_deep_for_the_tensor_target_are_refused():
    data = small_dataset(4_000)
    deep = fit(data.labelled(slice(None)), Boosting(rounds=2, depth_max=12))
    with pytest.raises(BadArtifact, match="at most 10"):
        tensor_graph(forest_from_json(bytes(deep.save_raw("json"))))
