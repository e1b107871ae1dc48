"""The model card's figures at a policy's thresholds."""

from __future__ import annotations

import numpy as np

from scoring.core.policy.policy_file import Levels
from scoring.training.card_thresholds import thresholds_table

SCORE = np.array([0.05, 0.15, 0.25, 0.6, 0.7, 0.01])
FRAUD = np.array([False, False, True, True, False, False])
LEVELS = Levels(challenge=0.1, review=0.2, decline=0.5)


def rows(**more):
    told = {"levels": LEVELS, "segments": None, "weights": None} | more
    table = thresholds_table(SCORE, FRAUD, **told)
    cells = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells}


def test_rates_are_of_the_rows_and_add_up():
    assert rows()["all"] == [
        *("6", "33.33 %", "16.67 %", "16.67 %", "33.33 %"),
        *("50.00 %", "50.00 %"),
    ]


def test_each_segment_has_its_own_and_none_where_there_is_no_fraud():
    segments = np.array(["web", "web", "web", "web", "shop", "shop"])
    found = rows(segments=segments)
    assert list(found) == ["all", "shop", "web"]
    assert found["shop"][-2:] == ["-", "50.00 %"]


def test_a_payment_of_the_sample_counts_for_those_that_it_stands_for():
    weights = np.array([1, 1, 1, 1, 96, 1], dtype=float)
    assert rows(weights=weights)["all"][4] == "96.04 %"


def test_a_level_that_is_not_written_never_applies():
    assert rows(levels=Levels(decline=0.5))["all"][1:4] == [
        *("66.67 %", "0.00 %", "0.00 %"),
    ]
