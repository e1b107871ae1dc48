"""How good two models were on what turned out to be true, and where they differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from scoring.core.model.rivalry import ModelJudgement, Rivalry
from scoring.training.quality import Quality, quality_report


def qualities(both: Rivalry) -> tuple[Quality, Quality]:
    """Each model's quality on the labelled transactions that both scored.

    >>> from scoring.core.decision.decision import Outcome
    >>> said = [ModelJudgement(Outcome.APPROVE, 0.1, -2.0),
    ...         ModelJudgement(Outcome.DECLINE, 0.9, 2.0)]
    >>> first, second = qualities(
    ...     Rivalry(first=said, second=said[::-1], frauds=[False, True]))
    >>> first.auc, second.auc
    (1.0, 0.0)
    """
    known = [
        (a, b, fraud)
        for a, b, fraud in zip(both.first, both.second, both.frauds, strict=True)
        if fraud is not None and a.score == a.score and b.score == b.score
    ]
    fraud = np.array([f for _, _, f in known], dtype=bool)
    return (
        _quality([a for a, _, _ in known], fraud),
        _quality([b for _, b, _ in known], fraud),
    )


def _quality(said: list[ModelJudgement], fraud: Any) -> Quality:
    return quality_report(
        np.array([s.score for s in said], dtype=np.float64),
        fraud,
        ranking=np.array([s.margin for s in said], dtype=np.float64),
    )


def changes(both: Rivalry) -> dict[str, int]:
    """How often the outcome differed, by both outcomes, most frequent first.

    >>> from scoring.core.decision.decision import Outcome
    >>> a, b = (ModelJudgement(o, 0.5, 0.0) for o in (Outcome.APPROVE, Outcome.REVIEW))
    >>> changes(Rivalry(first=[a, a], second=[a, b], frauds=[None, None]))
    {'approve → review': 1}
    """
    return {
        f"{a.name.lower()} → {b.name.lower()}": count
        for (a, b), count in both.changes.most_common()
        if a is not b
    }
