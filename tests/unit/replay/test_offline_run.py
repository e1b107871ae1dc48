"""A run is compared offline with its own model, or not at all."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from cases_tables import csv_file, good, table
from replayed import decided, played

from scoring.core.features.catalogue import default_catalogue
from scoring.errors import BadArtifact
from scoring.replay.collect import Collector
from scoring.replay.offline import RunTerms, agreement


def compare(folder, decisions):
    agreement(
        table(csv_file(folder, *good(3))),
        decisions,
        catalogue=default_catalogue(),
        model=SimpleNamespace(version="m2"),
        terms=RunTerms(label_delay_ms=0),
    )


def test_a_run_of_another_model_is_refused_by_both_names(tmp_path):
    decisions = played(tmp_path / "run.parquet", [("APPROVE", False, [], 1, "EUR")])
    with pytest.raises(BadArtifact, match="decided by model m1, and this is m2"):
        compare(tmp_path, decisions)


def test_a_run_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(BadArtifact, match="there is no such file"):
        compare(tmp_path, tmp_path / "absent.parquet")


class Seeing:
    """A model that scores by one feature, and keeps what it was shown."""

    version, deeper = "m1", None

    def __init__(self):
        self.column = default_catalogue().names.index("card_count_1h")

    def predict(self, matrix):
        self.matrix = matrix
        return SimpleNamespace(probability=matrix[:, self.column] / 100)


def compared(folder, change, inexact):
    """Three payments as SQL has them, the last one's count decided as `change` says."""
    read, model = table(csv_file(folder, *good(3))), Seeing()
    rows = [row for batch in read.batches() for row in batch]

    def run(matrix):
        collector = Collector(folder / "run.parquet")
        collector.expect(rows)
        for row, values in zip(rows, matrix, strict=True):
            decision = decided(row.transaction.id, "APPROVE", [])
            decision.core.features.extend(values)
            decision.core.score = values[model.column] / 100
            decision.core.inexact_features.extend(inexact)
            collector.take(decision)
        collector.close()
        return agreement(
            read,
            folder / "run.parquet",
            catalogue=default_catalogue(),
            model=model,
            terms=RunTerms(label_delay_ms=0),
        )

    run(np.zeros((3, len(default_catalogue().names))))
    matrix = model.matrix.copy()
    matrix[-1, model.column] += change
    return run(matrix)


def test_a_value_that_its_decision_states_as_inexact_may_differ_and_is_counted(
    tmp_path,
):
    found = compared(tmp_path, 1, ["card_count_1h"])
    assert (found.inexact, found.unexplained) == (1, 0)
    assert found.features_differing == {"card_count_1h": 1}
    assert found.score_difference_max < 1e-6


@pytest.mark.parametrize("inexact", [[], ["card_sum_1h"]])
def test_any_other_value_that_differs_is_unexplained_and_its_score_counts(
    tmp_path, inexact
):
    found = compared(tmp_path, 1, inexact)
    assert (found.inexact, found.unexplained) == (0, 1)
    assert found.score_difference_max == pytest.approx(0.01)


def test_an_equal_value_is_no_difference_whatever_the_decision_states(tmp_path):
    found = compared(tmp_path, 0, ["card_count_1h"])
    assert (found.inexact, found.unexplained) == (0, 0)
    assert found.features_differing == {}
