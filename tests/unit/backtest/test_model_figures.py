"""How good models' scores were, and how far they moved, over an archive of a few."""

from __future__ import annotations

import numpy as np
import pytest
from backtest_parts import DAY_MS, FIRST_MS, labelled, recorded

from scoring.backtest.model_figures import model_figures
from scoring.backtest.run import BacktestOptions
from scoring.backtest.source import ArchiveSource
from scoring.core.features.catalogue import default_catalogue
from scoring.core.model.bundle import Baseline, Distribution
from scoring.core.transaction.transaction import Transaction
from scoring.history.archive import Archive

CATALOGUE = default_catalogue()
NAMES = CATALOGUE.names
OLD, NEW = "0" * 16, "1" * 16
OPTIONS = BacktestOptions(days=50, label_delay_days=5, memory_mb=512)
EVEN = Distribution(edges=(0.5,), shares=(0.5, 0.5), null_share=0.0)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """2,000 payments: `OLD` scored the first half, `NEW` the other one."""
    archive = Archive(tmp_path_factory.mktemp("models"))
    archive.prepare()
    rows = [payment(i) for i in range(2_000)]
    archive.take("decisions", 0, rows, (0, len(rows)))
    frauds = [
        labelled(f"t{i}", i, FIRST_MS + 31 * DAY_MS) for i in range(2_000) if fraud(i)
    ]
    archive.take("labels", 0, frauds, (0, len(frauds)))
    return ArchiveSource(archive, CATALOGUE)


def fraud(i: int) -> bool:
    """Half of the payments with a high score, none of the others."""
    return i % 4 == 3


def payment(i: int):
    at_ms = FIRST_MS + (i * 30 * DAY_MS) // 2_000
    features = np.full(len(NAMES), np.nan, np.float32)
    features[0] = 0.25 if i < 1_000 else 0.75
    return recorded(
        Transaction(
            "default",
            f"t{i}",
            occurred_at_ms=at_ms,
            amount_minor=1_000,
            currency="EUR",
        ),
        i,
        CATALOGUE,
        model_version=OLD if i < 1_000 else NEW,
        score=0.8125 if i % 2 else 0.0625,
        features=features.tolist(),
    )


def baselines(version):
    known = dict.fromkeys(NAMES, EVEN)
    return (Baseline(score=EVEN, features=known), NAMES) if version == NEW else None


@pytest.fixture(scope="module")
def models(source):
    found = model_figures(source, baselines, OPTIONS)
    return {one["model"]: one for one in found["models"]}


def test_each_model_is_judged_by_the_payments_that_it_scored(models):
    assert list(models) == [NEW, OLD]  # the newest first
    for one in models.values():
        assert one["payments"] == 1_000
        assert one["frauds"] == pytest.approx(one["labelled"] / 4, abs=1)


def test_calibration_is_the_share_of_fraud_at_each_score(models):
    for one in models.values():
        low, high = one["calibration"]
        assert (low["score"], low["fraud"]) == (0.0625, 0.0)
        assert high["score"] == 0.8125
        assert high["fraud"] == pytest.approx(0.5, abs=0.01)


def test_precision_and_recall_are_of_what_lies_at_or_above_a_score(models):
    for one in models.values():
        high, every = one["precision_recall"]
        assert (high["recall"], every["recall"]) == (1.0, 1.0)
        assert high["precision"] == pytest.approx(0.5, abs=0.01)
        assert every["precision"] == pytest.approx(0.25, abs=0.01)
        assert one["average_precision"] == high["precision"]


def test_drift_is_of_the_last_days_and_of_a_model_whose_baseline_is_kept(source):
    many = model_figures(source, baselines, OPTIONS)["models"][0]["drift"]
    assert many["rows"] < 1_000  # the last seven days alone
    assert many["score"] is None  # too few to say anything


def test_drift_says_which_feature_moved_most(source, monkeypatch):
    monkeypatch.setattr("scoring.backtest.model_figures.DRIFT_ROWS_MIN", 100)
    new, old = model_figures(source, baselines, OPTIONS)["models"]
    assert old["drift"] is None
    first = new["drift"]["features"][0]
    assert first["feature"] == NAMES[0]
    assert first["index"] > 0.25  # every value lies above the median of training
    assert new["drift"]["score"] < 0.1
    assert new["drift"]["features"][-1]["index"] is None  # never known here
    assert new["drift"]["features"][-1]["missing"] == 1.0


def test_payments_that_nobody_knows_anything_of_count_for_no_model(models):
    """The last five days are younger than labels usually take."""
    for version, one in models.items():
        assert one["labelled"] == 1_000 or version == NEW
    assert models[NEW]["labelled"] < 1_000
