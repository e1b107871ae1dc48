"""How sure a share is: Wilson's interval."""

from __future__ import annotations

from math import sqrt

_Z = 1.959964  # of the normal distribution: 95 %
Interval = tuple[float, float]


def wilson(hits: float, count: float) -> Interval | None:
    """The 95 % interval of a share, None of nothing.

    Wilson (1927), Probable inference; it keeps within 0 and 1 for few payments, too.

    >>> [round(edge, 4) for edge in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if count <= 0:
        return None
    share = hits / count
    spread = 1 + _Z**2 / count
    centre = (share + _Z**2 / (2 * count)) / spread
    half = _Z * sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / spread
    # Rounding must not leave the share itself, or 0 and 1, outside.
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return min(low, share), max(high, share)
