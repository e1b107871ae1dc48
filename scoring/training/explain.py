"""How near our reasons come to the exact contributions (TreeSHAP)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TOP = 3


def grouped(
    contributions: NDArray[np.float64], group: NDArray[np.int64], *, count: int
) -> NDArray[np.float64]:
    """Sum the columns of each group: (n, features) to (n, count).

    >>> grouped(np.array([[1.0, 2.0, 4.0]]), np.array([0, 1, 0]), count=2).tolist()
    [[5.0, 2.0]]
    """
    member = np.zeros((contributions.shape[1], count))
    member[np.arange(len(group)), group] = 1
    return np.asarray(contributions @ member)


def top_overlap(
    ours: NDArray[np.float64], exact: NDArray[np.float64], *, top: int = _TOP
) -> float:
    """Mean share of the `top` exact reasons that ours name too.

    Only contributions that raise the score count as reasons; rows without any are
    left out.

    >>> top_overlap(np.array([[3.0, 2.0, 0.0]]), np.array([[3.0, 0.0, 2.0]]), top=2)
    0.5
    """
    shares = []
    for mine, truth in zip(ours, exact, strict=True):
        wanted = {j for j in np.argsort(-truth)[:top].tolist() if truth[j] > 0}
        named = {j for j in np.argsort(-mine)[:top].tolist() if mine[j] > 0}
        if wanted:
            shares.append(len(wanted & named) / len(wanted))
    return float(np.mean(shares)) if shares else 1.0
