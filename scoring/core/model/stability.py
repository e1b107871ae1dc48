"""How far values have moved from what a model was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.model.bundle import Distribution

# An empty bin would make the index infinite: it counts as half a row, and one that
# was empty at training as this share.
_HALF_A_ROW = 0.5
_SHARE_MIN = 1e-4


def bin_counts(baseline: Distribution, values: NDArray[Any]) -> NDArray[np.int64]:
    """How many known values lie in each bin of the baseline, and last how many are
    missing: (bins + 1,).

    >>> baseline = Distribution(edges=(1.0, 2.0), shares=(0.5, 0.3, 0.2), null_share=0)
    >>> bin_counts(baseline, np.array([0.5, 1.0, 9.0, np.nan])).tolist()
    [2, 0, 1, 1]
    """
    bins = len(baseline.shares)
    # A missing value sorts behind everything known, infinity included.
    known = values[~np.isnan(values)]
    edges = np.asarray(baseline.edges, dtype=values.dtype)
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=bins)
    return np.append(counts, len(values) - len(known))


def stability_index(baseline: Distribution, counts: NDArray[np.int64]) -> float:
    """Population stability index of known values counted by `bin_counts`.

    Below 0.1 little has moved, above 0.25 much; NaN where nothing is known.

    >>> baseline = Distribution(edges=(1.0,), shares=(0.5, 0.5), null_share=0)
    >>> round(stability_index(baseline, np.array([500, 500, 7])), 6)
    0.0
    >>> round(stability_index(baseline, np.array([900, 100, 0])), 2)
    0.88
    """
    known = counts[:-1]
    if not known.sum():
        return float("nan")
    bins = len(known)
    now = (known + _HALF_A_ROW) / (known.sum() + _HALF_A_ROW * bins)
    then = np.maximum(np.asarray(baseline.shares), _SHARE_MIN)
    return float(np.sum((now - then) * np.log(now / then)))
