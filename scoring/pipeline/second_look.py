"""A second, deeper look at what the first one left in doubt.

Whether it is due is a function of the first score alone. Whether it is taken is a
matter of time, and recorded: what was due and not taken is a degradation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from scoring.core.decision.decision import (
    ComputeTarget,
    Degradation,
    DegradationCode,
    SecondLook,
)
from scoring.errors import ModelUnavailable
from scoring.ports.events import Event
from scoring.ports.model import DeeperModel, Matrix, Model, Scores

# Looked at between two looks at the clock: about a millisecond of a large forest.
_ROWS_AT_A_TIME = 16
_NO_TIME, _NO_SCORE = "time", "model"


@dataclass(frozen=True, slots=True)
class Looked:
    """What n rows score after second looks; one look a row.

    `first` is what the first look said, `second` the same with the rows that were
    looked at again replaced. `skipped` says, of a row whose look was due and was not
    taken, what was missing: "time" or "model".
    """

    first: Scores
    second: Scores
    looks: list[SecondLook]
    skipped: dict[int, str]

    def of(self, i: int) -> Scores:
        """The scores that hold row i's own."""
        return self.second if self.looks[i] is SecondLook.TAKEN else self.first

    def missing(self, i: int) -> tuple[Degradation, ...]:
        """The degradation of a row whose look was due and was not taken."""
        if i not in self.skipped:
            return ()
        return (Degradation(DegradationCode.SECOND_LOOK_SKIPPED, self.skipped[i]),)

    def counts(self) -> dict[Event, int]:
        """Named events: how many looks were taken, and skipped for want of what."""
        why = list(self.skipped.values())
        counts = {
            Event.SECOND_LOOK_TAKEN: self.looks.count(SecondLook.TAKEN),
            Event.SECOND_LOOK_SKIPPED: why.count(_NO_TIME),
            Event.SECOND_LOOK_FAILED: why.count(_NO_SCORE),
        }
        return {event: count for event, count in counts.items() if count}


def _always(_row: int) -> bool:
    """Nobody waits."""
    return True


def look_again(
    deeper: DeeperModel,
    matrix: Matrix,
    scores: Scores,
    *,
    in_time: Callable[[int], bool] = _always,
) -> Looked:
    """Ask the larger model for the rows whose first score lies in its band.

    `in_time` tells whether the look at a row may still begin; it is asked every few
    rows. A row that the larger model cannot score keeps its first score, and costs
    no other row its look.
    """
    looks = [SecondLook.NOT_NEEDED] * len(matrix)
    due = deeper.band.holds(scores.probability).nonzero()[0].tolist()
    skipped: dict[int, str] = {}
    if not due:
        return Looked(scores, scores, looks, skipped)
    second = replace(
        scores,
        margin=scores.margin.copy(),
        probability=scores.probability.copy(),
        contributions=scores.contributions.copy(),
        target=ComputeTarget.ENSEMBLE,  # the larger model has no other form
    )
    for start in range(0, len(due), _ROWS_AT_A_TIME):
        several = due[start : start + _ROWS_AT_A_TIME]
        rows = [i for i in several if in_time(i)]
        skipped |= dict.fromkeys((i for i in several if i not in rows), _NO_TIME)
        for i in rows:
            looks[i] = SecondLook.TAKEN
        for i in _scored(deeper.model, matrix, rows, into=second):
            skipped[i] = _NO_SCORE
    for i in skipped:
        looks[i] = SecondLook.SKIPPED
    return Looked(scores, second, looks, skipped)


def _scored(
    model: Model, matrix: Matrix, rows: list[int], *, into: Scores
) -> list[int]:
    """Score rows into their places; return those that have no score."""
    if not rows:
        return []
    try:
        found = model.predict(matrix[rows])
    except ModelUnavailable:
        if len(rows) == 1:
            return rows
        # One row without a score must not cost the others theirs.
        return [i for row in rows for i in _scored(model, matrix, [row], into=into)]
    into.margin[rows] = found.margin
    into.probability[rows] = found.probability
    into.contributions[rows] = found.contributions
    return []
