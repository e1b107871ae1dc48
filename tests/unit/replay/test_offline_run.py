"""A run is compared offline with its own model, or not at all."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cases_tables import csv_file, good, table
from replayed import played

from scoring.core.features.catalogue import default_catalogue
from scoring.errors import BadArtifact
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
