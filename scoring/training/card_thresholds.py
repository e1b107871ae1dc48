"""What a model and a policy's thresholds decide together, in figures by segment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scoring.core.policy.policy_file import Levels
from scoring.training.dataset import Weights

_COLUMNS = (
    *("segment", "rows", "approved", "challenged", "reviewed", "declined"),
    *("of frauds declined", "false positives"),
)
_NEVER = 2.0  # above every probability


def thresholds_table(
    score: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    *,
    levels: Levels,
    segments: NDArray[np.str_] | None,
    weights: Weights,
) -> str:
    """A Markdown table: rates at the thresholds, of all rows and by segment.

    By score alone: rules and lists are not asked. A false positive is a genuine
    payment that is not approved.

    >>> table = thresholds_table(np.array([0.1, 0.9]), np.array([False, True]),
    ...     levels=Levels(decline=0.5), segments=None, weights=None)
    >>> table.splitlines()[-1]
    '| all | 2 | 50.00 % | 0.00 % | 0.00 % | 50.00 % | 100.00 % | 0.00 % |'
    """
    each = np.ones(len(score)) if weights is None else weights
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    parts = {"all": np.ones(len(score), dtype=bool)}
    if segments is not None:
        parts |= {name: segments == name for name in np.unique(segments).tolist()}
    cuts = [
        _NEVER if cut is None else cut
        for cut in (levels.challenge, levels.review, levels.decline)
    ]
    for name, rows in parts.items():
        if rows.any():
            found = _rates(score[rows], fraud[rows], each[rows], cuts)
            shown = " | ".join("-" if x is None else f"{x:.2%}" for x in found)
            shown = shown.replace("%", " %")
            lines.append(f"| {name} | {int(rows.sum()):,} | {shown} |")
    return "\n".join(lines)


def _rates(
    score: NDArray[np.float64],
    fraud: NDArray[np.bool_],
    each: NDArray[np.float64],
    cuts: list[float],
) -> list[float | None]:
    """Shares of each outcome, mildest first; of frauds declined; false positives."""
    challenge, review, decline = cuts
    declined = score >= decline
    reviewed = (score >= review) & ~declined
    challenged = (score >= challenge) & ~reviewed & ~declined
    approved = ~(declined | reviewed | challenged)
    shares = [
        _share(rows, np.ones_like(fraud), each)
        for rows in (approved, challenged, reviewed, declined)
    ]
    return [*shares, _share(declined, fraud, each), _share(~approved, ~fraud, each)]


def _share(
    rows: NDArray[np.bool_], of: NDArray[np.bool_], each: NDArray[np.float64]
) -> float | None:
    """The weight of some rows among others; None where there are none of those."""
    total = float(each[of].sum())
    return float(each[rows & of].sum()) / total if total else None
