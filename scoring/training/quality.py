"""How good scores are: ranking, precision under a review budget, calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.training.dataset import CardDays, Weights

Floats = NDArray[np.float64]
REVIEW_RATES = (0.001, 0.005, 0.01, 0.05)
_ECE_BINS = 20
_PROBABILITY_MIN = 1e-15  # keeps the log-loss of a certain mistake finite


@dataclass(frozen=True, slots=True)
class Quality:
    """What scores are worth on labelled rows; None where it is not defined.

    `card_precision_100` is the Handbook's; `recall_at` maps a review rate (share
    of rows looked at, highest scores first) to the share of frauds found; `ece`
    is the expected calibration error over 20 quantile bins.
    """

    rows: int
    frauds: int
    auc: float | None
    average_precision: float | None
    card_precision_100: float | None
    recall_at: dict[float, float]
    ece: float | None
    log_loss: float | None
    brier: float | None

    def as_dict(self) -> dict[str, Any]:
        """The figures with plain keys, for JSON."""
        plain = asdict(self)
        recalls = plain.pop("recall_at")
        return plain | {f"recall_at_{rate:g}": r for rate, r in recalls.items()}


def quality_report(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    card_days: CardDays | None = None,
    ranking: ArrayLike | None = None,
    weights: Weights = None,
) -> Quality:
    """Judge calibrated scores (0 to 1) against labels (true is fraud).

    `ranking` orders the rows where it is finer than the score (the raw margin);
    without `card_days` there is no card precision. A row counts `weights` times in
    all but the counts and card precision. One class only leaves the ranking figures
    None.

    >>> q = quality_report([0.1, 0.9, 0.2], [0, 1, 0])
    >>> q.auc, q.average_precision, q.recall_at[0.05]
    (1.0, 1.0, 1.0)
    """
    p = np.asarray(scores, dtype=np.float64)
    y = np.asarray(labels).astype(bool)
    order = p if ranking is None else np.asarray(ranking, dtype=np.float64)
    both = bool(y.any() and not y.all())
    cards = None
    if both and card_days is not None:
        cards = card_precision(order, y, card_days)
    return Quality(
        rows=len(y),
        frauds=int(y.sum()),
        auc=auc(order, y, weights) if both else None,
        average_precision=average_precision(order, y, weights) if both else None,
        card_precision_100=cards,
        recall_at=(
            {r: recall_at(order, y, r, weights) for r in REVIEW_RATES} if both else {}
        ),
        ece=calibration_error(p, y, weights) if len(y) else None,
        log_loss=log_loss(p, y, weights) if len(y) else None,
        brier=float(np.average((p - y) ** 2, weights=weights)) if len(y) else None,
    )


def auc(scores: Floats, labels: NDArray[np.bool_], weights: Weights = None) -> float:
    """Area under the ROC curve; ties count half.

    >>> auc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    0.875
    """
    _, group = np.unique(scores, return_inverse=True)
    each = np.ones(len(labels)) if weights is None else weights
    others = np.bincount(group, weights=each * ~labels)
    below = np.cumsum(others) - others / 2  # of those that a score lies above
    frauds = each[labels]
    return float(frauds @ below[group[labels]] / (frauds.sum() * others.sum()))


def average_precision(
    scores: Floats, labels: NDArray[np.bool_], weights: Weights = None
) -> float:
    """Precision averaged over recall, tied scores taken together.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    each = np.ones(len(labels)) if weights is None else weights[order]
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(labels[order] * each)[last_of_tie]
    seen = np.cumsum(each)[last_of_tie]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / seen).sum() / hits[-1])


def recall_at(
    scores: Floats, labels: NDArray[np.bool_], rate: float, weights: Weights = None
) -> float:
    """Share of frauds among the `rate` highest scores (at least one row).

    >>> recall_at(np.arange(100.0), np.arange(100) >= 98, 0.01)
    0.5
    """
    each = np.ones(len(labels)) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    looked_at = max(1, round(rate * float(each.sum())))
    count = max(1, int(np.searchsorted(np.cumsum(each[order]), looked_at, "right")))
    found = each[order[:count]] @ labels[order[:count]]
    return float(found / each[labels].sum())


def card_precision(
    scores: Floats,
    labels: NDArray[np.bool_],
    card_days: CardDays,
    *,
    top: int = 100,
) -> float:
    """The Handbook's card precision at `top`, mean over days.

    Per day and customer the highest score and label; the share of the `top`
    customers that are compromised. A customer found on one day is not looked at
    on later ones.

    >>> card_precision(np.array([.9, .1, .8]), np.array([True, False, False]),
    ...     CardDays(np.array(["a", "b", "a"]), np.array([0, 0, 1])), top=1)
    0.5
    """
    _, customer = np.unique(card_days.customers, return_inverse=True)
    day = card_days.days
    count = int(customer.max()) + 1
    found = np.zeros(count, dtype=bool)
    shares = []
    for one in np.unique(day):
        rows = np.flatnonzero((day == one) & ~found[customer])
        best = np.full(count, -np.inf)
        np.maximum.at(best, customer[rows], scores[rows])
        bad = np.zeros(count, dtype=bool)
        bad[customer[rows][labels[rows]]] = True
        seen = np.unique(customer[rows])
        chosen = seen[np.argsort(-best[seen], kind="stable")][:top]
        found[chosen[bad[chosen]]] = True
        shares.append(bad[chosen].sum() / top)
    return float(np.mean(shares))


def resampled(
    scores: Floats,
    labels: NDArray[np.bool_],
    card_days: CardDays,
    *,
    draws: int,
) -> Floats:
    """What the ranking figures might have been with other customers like these.

    (draws, 3): area under the curve, average precision and card precision@100 of as
    many customers drawn with replacement, each with all of his rows; seeded.

    >>> one = np.arange(400) % 4 == 0
    >>> whose = CardDays(np.arange(400), np.zeros(400, np.int64))
    >>> resampled(one * 1.0, one, whose, draws=5).min(0)[:2].tolist()
    [1.0, 1.0]
    """
    rng = np.random.default_rng(0)
    customers = card_days.customers
    order = np.argsort(customers, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(customers[order])) + 1)
    figures = []
    for _ in range(draws):
        drawn = [rows[i] for i in rng.integers(len(rows), size=len(rows))]
        chosen = np.concatenate(drawn)
        s, y = scores[chosen], labels[chosen]
        own = np.repeat(np.arange(len(drawn)), [len(d) for d in drawn])
        cards = card_precision(s, y, CardDays(own, card_days.days[chosen]))
        figures.append((auc(s, y), average_precision(s, y), cards))
    return np.array(figures, dtype=np.float64)


def calibration_error(
    p: Floats, labels: NDArray[np.bool_], weights: Weights = None
) -> float:
    """Expected calibration error over 20 quantile bins; ties share a bin.

    >>> calibration_error(np.full(40, 0.25), np.arange(40) % 2 == 0)
    0.25
    """
    edges = np.quantile(p, np.linspace(0, 1, _ECE_BINS + 1)[1:-1])
    bins = np.searchsorted(edges, p, side="left")
    each = np.ones(len(labels)) if weights is None else weights
    gap = np.bincount(bins, weights=each * (p - labels), minlength=_ECE_BINS)
    return float(np.abs(gap).sum() / each.sum())


def log_loss(p: Floats, labels: NDArray[np.bool_], weights: Weights = None) -> float:
    """Mean negative log-likelihood, nats.

    >>> round(log_loss(np.array([0.5, 0.5]), np.array([True, False])), 4)
    0.6931
    """
    sure = np.clip(np.where(labels, p, 1 - p), _PROBABILITY_MIN, None)
    return float(-np.average(np.log(sure), weights=weights))
