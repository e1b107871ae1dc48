"""What a feature derives from its stored slots: one formula for each kind.

A formula's positional parameters are the slots that its statistic reads, in their
order. By name it asks for more: of the payment `at_ms`, `amount`, `latitude`,
`longitude` and `own`, its value in the field that the feature is of; of the feature
`default`, for a known entity with nothing in its window, `window_ms`, `fraud_prior`
and `count_prior`; and `horizon_ms`. NaN is unknown.

Here they compute whole columns, (n,) or (n, features). `row.py` makes of the same
text what computes one payment, to the same bits: so a formula is assignments and one
`return`, of arithmetic and of the functions named here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.measure import LIMB_BITS

Reals = NDArray[np.float64]
LIMB = float(1 << LIMB_BITS)
SECOND_MS = 1_000.0
HOUR_MS = 3_600_000.0
EARTH_KM = 6_371.0

where: Callable[[Any, Any, Any], Reals] = np.where
isnan: Callable[[Reals], NDArray[np.bool_]] = np.isnan
maximum: Callable[[Any, Any], Reals] = np.maximum
minimum: Callable[[Any, Any], Reals] = np.minimum
sqrt: Callable[[Reals], Reals] = np.sqrt
radians: Callable[[Reals], Reals] = np.radians
sin: Callable[[Reals], Reals] = np.sin
cos: Callable[[Reals], Reals] = np.cos
arcsin: Callable[[Reals], Reals] = np.arcsin

FORMULAS: dict[str, Callable[..., Reals]] = {}


def formula(derives: Callable[..., Reals]) -> Callable[..., Reals]:
    """A formula, which statistics name without its underscore."""
    FORMULAS[derives.__name__.removeprefix("_")] = derives
    return derives


@formula
def _copy(value: Reals) -> Reals:
    return value


@formula
def _negate(value: Reals) -> Reals:
    return -value


@formula
def _mean(total: Reals, count: Reals, *, default: Reals) -> Reals:
    return where(count == 0, default, total / count)


@formula
def _std(
    total: Reals, count: Reals, high: Reals, low: Reals, *, default: Reals
) -> Reals:
    squares = high * LIMB + low
    variance = (count * squares - total * total) / (count * count)
    return where(count == 0, default, sqrt(maximum(variance, 0.0)))


@formula
def _since(then: Reals, *, at_ms: Reals, default: Reals) -> Reals:
    return where(then == 0, default, (at_ms - then) / SECOND_MS)


@formula
def _age(first: Reals, *, at_ms: Reals, horizon_ms: int) -> Reals:
    return where(first == 0, 0.0, minimum(at_ms - first, horizon_ms) / SECOND_MS)


@formula
def _changed(last: Reals, *, own: Reals) -> Reals:
    return where(isnan(last) | isnan(own), nan, last != own)


@formula
def _new(seen: Reals, *, at_ms: Reals, window_ms: Reals) -> Reals:
    return where(isnan(seen), nan, seen <= at_ms - window_ms)


@formula
def _ratio(total: Reals, count: Reals, *, amount: Reals, default: Reals) -> Reals:
    ratio = where(total > 0, amount * count / total, nan)
    return where(count == 0, default, ratio)


@formula
def _normal(
    count: Reals, total: Reals, _high: Reals, _low: Reals, *, default: Reals
) -> Reals:
    return where(count == 0, default, total / count)


@formula
def _ratio_to_normal(
    count: Reals,
    total: Reals,
    _high: Reals,
    _low: Reals,
    *,
    amount: Reals,
    default: Reals,
) -> Reals:
    ratio = where(total > 0, amount * count / total, nan)
    return where(count == 0, default, ratio)


@formula
def _zscore(
    count: Reals,
    total: Reals,
    high: Reals,
    low: Reals,
    *,
    amount: Reals,
    default: Reals,
) -> Reals:
    squares = high * LIMB + low
    variance = (count * squares - total * total) / (count * count)
    deviation = sqrt(maximum(variance, 0.0))
    score = where(deviation > 0, (amount - total / count) / deviation, nan)
    return where(count == 0, default, score)


@formula
def _rate(
    frauds: Reals, count: Reals, *, fraud_prior: Reals, count_prior: Reals,
    default: Reals,
) -> Reals:  # fmt: skip
    below = count + count_prior
    return where(below == 0, default, (frauds + fraud_prior) / below)


@formula
def _speed(
    was_latitude: Reals,
    was_longitude: Reals,
    located_at: Reals,
    *,
    latitude: Reals,
    longitude: Reals,
    at_ms: Reals,
) -> Reals:
    was, now = radians(was_latitude), radians(latitude)
    up = sin((now - was) / 2)
    along = sin(radians(longitude - was_longitude) / 2)
    chord = up * up + cos(was) * cos(now) * (along * along)
    distance_km = 2 * EARTH_KM * arcsin(sqrt(minimum(chord, 1.0)))
    # Two places within one second are one second apart, not infinitely fast.
    elapsed = maximum(at_ms - located_at, SECOND_MS) / HOUR_MS
    return distance_km / elapsed
