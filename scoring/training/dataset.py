"""Labelled rows in event order, and how time splits them without looking ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadArtifact

DAY_MS = 86_400_000
# How many payments each row counts for; None: itself alone.
Weights = NDArray[np.float64] | None
AMOUNT_UNKNOWN = -1  # no payment has it: a slice by amount leaves such rows out
# Columns that are, or betray, the answer: never features, whatever their case.
FORBIDDEN_NAMES = frozenset(
    {"fraud", "is_fraud", "scenario", "label", "target", "verdict", "seed"}
    | {"tx_fraud", "tx_fraud_scenario", "transaction_id", "id", "payment_id"}
    | {"card", "customer", "merchant", "terminal", "device"}
    | {"customer_id", "terminal_id", "card_id", "merchant_id", "device_id"}
)
# One feature alone above this has seen the answer.
SINGLE_AUC_MAX = 0.99
_SINGLE_AUC_FRAUDS_MIN = 50  # fewer frauds reach any AUC by chance


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Rows to learn from, and what each turned out to be; it counts `weights` times."""

    matrix: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    weights: Weights = None


@dataclass(frozen=True, slots=True)
class CardDays:
    """Of each row: whose payment it is, and on which day; what card precision asks."""

    customers: NDArray[Any]
    days: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """n rows in event order.

    `matrix` (n, features) float32, NaN missing; `fraud` (n,) the truth, known only
    `label_delay_ms` after `occurred_at_ms`; `customers` (n,) whom card precision
    counts, never a feature; `amount_minor` (n,), AMOUNT_UNKNOWN where it is, and
    `segments` (n,), the channel's name where the table tells it, for slices of the
    model card. `weights` (n,) are 1 but for payments of the let-through sample, which
    count for the declined ones that were not drawn: the inverse of the probability.
    """

    names: tuple[str, ...]
    matrix: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    occurred_at_ms: NDArray[np.int64]
    customers: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    segments: NDArray[np.str_] | None = None
    weights: Weights = None

    def __len__(self) -> int:
        return len(self.fraud)

    def rows(self, from_ms: int, until_ms: int) -> NDArray[np.bool_]:
        """Which rows occurred in [from_ms, until_ms)."""
        return (self.occurred_at_ms >= from_ms) & (self.occurred_at_ms < until_ms)

    def weights_of(self, rows: NDArray[Any]) -> Weights:
        """The weights of the chosen rows, in order."""
        return None if self.weights is None else self.weights[rows]

    def labelled(self, rows: NDArray[Any]) -> LabelledRows:
        """The chosen rows, to learn from."""
        return LabelledRows(self.matrix[rows], self.fraud[rows], self.weights_of(rows))

    def card_days(self, rows: NDArray[Any]) -> CardDays:
        """Whose payments the chosen rows are, and on which days."""
        return CardDays(self.customers[rows], self.days[rows])

    @property
    def days(self) -> NDArray[np.int64]:
        """Day number of each row (UTC)."""
        return self.occurred_at_ms // DAY_MS


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Instants that part the rows: fit, calibrate, wait for labels, evaluate.

    Fit on [from, fitted), calibrate on [fitted, calibrated), evaluate on
    [evaluated, until). At `evaluated`, the first instant at which the model could
    have served, every label used for it was known: calibrated + delay <= evaluated.
    """

    from_ms: int
    fitted_ms: int
    calibrated_ms: int
    evaluated_ms: int
    until_ms: int


def split_by_time(dataset: Dataset, *, label_delay_ms: int) -> TimeSplit:
    """Part the rows 4 : 1 into fitting and calibration, then delay, then a fifth.

    Raises `BadArtifact` where the rows do not span twice the label delay.
    """
    first = int(dataset.occurred_at_ms[0])
    until = int(dataset.occurred_at_ms[-1]) + 1
    usable = until - first - label_delay_ms
    if usable < label_delay_ms or usable <= 0:
        days = (2 * label_delay_ms) // DAY_MS
        raise BadArtifact(
            f"table: too short to train and to be judged after the label delay; "
            f"bring more than {max(days, 1)} days"
        )
    evaluated = until - usable // 5
    calibrated = evaluated - label_delay_ms
    fitted = calibrated - (calibrated - first) // 5
    return TimeSplit(first, fitted, calibrated, evaluated, until)


def refuse_answers(names: Sequence[str]) -> None:
    """Raise `BadArtifact` for a feature that is an id, a seed or the answer.

    >>> refuse_answers(("amount_minor", "scenario"))
    Traceback (most recent call last):
    ...
    scoring.errors.BadArtifact: features: scenario names an id or the answer; ...
    """
    for name in names:
        if name.lower() in FORBIDDEN_NAMES:
            raise BadArtifact(
                f"features: {name} names an id or the answer; "
                "a model must not see it: remove the feature"
            )


def refuse_leaks(dataset: Dataset) -> None:
    """Raise `BadArtifact` where one feature alone tells fraud too well to be true.

    The area under the curve of each feature, missing values below all others and
    above all others, whichever separates better.
    """
    from scoring.training.quality import auc

    if int(dataset.fraud.sum()) < _SINGLE_AUC_FRAUDS_MIN or dataset.fraud.all():
        return
    for column, name in enumerate(dataset.names):
        values = dataset.matrix[:, column].astype(np.float64)
        for missing in (-np.inf, np.inf):
            area = auc(np.where(np.isnan(values), missing, values), dataset.fraud)
            if max(area, 1 - area) > SINGLE_AUC_MAX:
                raise BadArtifact(
                    f"features: {name} alone separates fraud with an area of "
                    f"{max(area, 1 - area):.4f}: it has seen the answer; "
                    "remove it, or show that its value is known at decision time"
                )


def refuse_one_class(labels: NDArray[np.bool_], *, what: str) -> None:
    """Raise `BadArtifact` where the rows hold fraud only, or none.

    >>> refuse_one_class(np.array([False, False]), what="training rows")
    Traceback (most recent call last):
    ...
    scoring.errors.BadArtifact: training rows: no fraud among 2 rows; bring more days
    """
    if not labels.any():
        raise BadArtifact(f"{what}: no fraud among {len(labels)} rows; bring more days")
    if labels.all():
        raise BadArtifact(f"{what}: nothing but fraud; bring genuine payments too")
