"""What a let-through sample tells of everything that would have been declined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

_Z = 1.959963984540054  # 95 % of a normal distribution lie within


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its 95 % interval, from `count` payments."""

    share: float
    low: float
    high: float
    count: int


def precision_of_declines(
    probabilities: Sequence[float], fraud: Sequence[bool]
) -> Estimate | None:
    """The share of fraud among all would-be declines, from those let through.

    `probabilities` are what the decisions say as `let_through`, `fraud` their labels,
    mature ones only. Each payment weighs by its inverse probability; the interval is
    Wilson's, of as many payments as the weights are worth, less for what of the whole
    was seen. None without payments.

    >>> found = precision_of_declines([0.01] * 100, [True] * 80 + [False] * 20)
    >>> found.share, round(found.low, 3), round(found.high, 3)
    (0.8, 0.712, 0.866)
    """
    weights = [1 / probability for probability in probabilities]
    total = sum(weights)
    if not total:
        return None
    share = sum(w for w, is_fraud in zip(weights, fraud, strict=True) if is_fraud)
    share /= total
    worth = total**2 / sum(w * w for w in weights)
    unseen = 1 - len(weights) / total
    return _wilson(share, worth / unseen if unseen else float("inf"), len(weights))


def realised_share(let_through: int, eligible: int) -> Estimate | None:
    """Which share of the eligible would-be declines was let through.

    `eligible` counts them too. Below the share that the policy says, and outside the
    interval, the budget of some days was spent. None where there was none.
    """
    if not eligible:
        return None
    return _wilson(let_through / eligible, eligible, eligible)


def _wilson(share: float, worth: float, count: int) -> Estimate:
    z2 = _Z * _Z / worth
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * sqrt(share * (1 - share) / worth + z2 / (4 * worth))
    return Estimate(share, max(middle - half, 0.0), min(middle + half, 1.0), count)
