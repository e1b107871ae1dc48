"""Stored slots and the transaction itself to the model's vector.

The same code runs offline and online, over a batch of one or of a million.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.catalogue import Catalogue, Feature
from scoring.core.expression import Evaluate, parse
from scoring.core.measure import LIMB_BITS, counterpart_hash, text_of
from scoring.core.transaction import Transaction

Reals = NDArray[np.float64]
Matrix = NDArray[np.float32]
_EARTH_KM = 6_371.0
_HOUR_MS = 3_600_000.0
_SECOND_MS = 1_000.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What derivations read: stored slots (n, stored) and the transactions' own.

    `at_ms` and `amount` are (n,), NaN unknown; `own(name)` gives (n,) of a hashed
    text field or a coordinate.
    """

    stored: Reals
    at_ms: Reals
    amount: Reals
    own: Callable[[str], Reals]
    horizon_ms: int


def unknown_values(catalogue: Catalogue) -> Reals:
    """The slots of a transaction whose history could not be read: all NaN.

    >>> from scoring.core.catalogue import default_catalogue
    >>> bool(np.isnan(unknown_values(default_catalogue())).all())
    True
    """
    return np.full(catalogue.stored_count, nan)


def vectorise(
    catalogue: Catalogue,
    transactions: Sequence[Transaction],
    values: Sequence[Reals],
) -> Matrix:
    """The (n, features) float32 matrix in the catalogue's order, NaN missing.

    `values` holds each transaction's `Observation.values`.
    """
    n = len(transactions)
    stored = np.concatenate(values, dtype=np.float64) if n else np.empty(0)
    amounts = [catalogue.amount(t) for t in transactions]
    batch = Batch(
        stored.reshape(n, catalogue.stored_count),
        np.array([t.occurred_at_ms for t in transactions], dtype=np.float64),
        _reals(amounts),
        lambda name: _reals([own_value(t, name) for t in transactions]),
        catalogue.horizon_ms,
    )
    matrix = derive(catalogue, batch)
    columns, evaluates = _program(catalogue).plain
    plain = [
        [evaluate(transaction, amount) for evaluate in evaluates]
        for transaction, amount in zip(transactions, amounts, strict=True)
    ]
    matrix[:, columns] = _reals(plain).reshape(n, len(columns))
    # One NaN for every way of being missing, so that bytes survive their JSON.
    matrix[np.isnan(matrix)] = nan
    return matrix


def _reals(values: Sequence[Any]) -> Reals:
    """Numbers as an array; None becomes NaN."""
    return np.array(values, dtype=np.float64)


def derive(catalogue: Catalogue, batch: Batch) -> Matrix:
    """All features that rest on stored slots; plain values are left NaN."""
    matrix = np.full((len(batch.at_ms), len(catalogue.names)), nan, np.float32)
    program = _program(catalogue)
    # One gather and one scatter for all groups: a batch of one is mostly overhead.
    gathered = replace(batch, stored=batch.stored[:, program.slots])
    with np.errstate(all="ignore"):
        derived = [group.derivation(group, gathered) for group in program.groups]
    if derived:
        matrix[:, program.columns] = np.concatenate(derived, axis=1)
    return matrix


def own_value(transaction: Transaction, name: str) -> float:
    """A text field as its counterpart hash, or a coordinate; NaN unknown.

    >>> own_value(Transaction("default", "t1"), "device")
    nan
    """
    if name in {"latitude", "longitude"}:
        real: float | None = getattr(transaction, name)
        return nan if real is None else real
    text = text_of(transaction, name)
    return float(counterpart_hash(text)) if text else nan


@dataclass(frozen=True, slots=True)
class _Group:
    """Features of one derivation, computed together.

    `places` are where each of the slots that a feature needs stands among the
    gathered ones, for all features; `defaults`, `windows` and `priors` are theirs.
    """

    features: tuple[Feature, ...]
    derivation: Callable[[_Group, Batch], Reals]
    places: tuple[slice, ...]
    defaults: Reals
    windows: Reals
    priors: Reals  # (2, features): frauds, transactions

    def reals(self, gathered: Batch) -> list[Reals]:
        return [gathered.stored[:, place] for place in self.places]


@dataclass(frozen=True, slots=True)
class _Program:
    groups: tuple[_Group, ...]
    slots: NDArray[np.intp]
    columns: NDArray[np.intp]
    plain: tuple[list[int], list[Evaluate]]  # columns, and what computes each


@cache
def _program(catalogue: Catalogue) -> _Program:
    listed = list(catalogue.features.values())
    kinds = dict.fromkeys(f.derive for f in listed if f.derive != "value")
    groups: list[_Group] = []
    slots: list[int] = []
    columns: list[int] = []
    for kind in kinds:
        chosen = [(i, f) for i, f in enumerate(listed) if f.derive == kind]
        groups.append(_group(kind, tuple(f for _, f in chosen), len(slots)))
        slots += [
            slot
            for need in zip(*(f.slots for _, f in chosen), strict=True)
            for slot in need
        ]
        columns += [i for i, _ in chosen]
    plain = [(i, f) for i, f in enumerate(listed) if f.derive == "value"]
    return _Program(
        tuple(groups),
        np.array(slots, dtype=np.intp),
        np.array(columns, dtype=np.intp),
        (
            [i for i, _ in plain],
            [parse(f.expression).evaluate for _, f in plain],
        ),
    )


def _group(kind: str, features: tuple[Feature, ...], first: int) -> _Group:
    n = len(features)
    needed = len(features[0].slots)
    return _Group(
        features,
        DERIVATIONS[kind],
        tuple(slice(first + k * n, first + (k + 1) * n) for k in range(needed)),
        np.array([nan if f.default is None else f.default for f in features]),
        np.array([float(f.window_ms or 0) for f in features]),
        np.array([f.prior for f in features]).T,
    )


def _default(group: _Group, values: Reals, empty: NDArray[np.bool_]) -> Reals:
    """Fill in the declared default where a known entity's window is empty."""
    return np.where(empty, group.defaults, values)


def _copy(group: _Group, batch: Batch) -> Reals:
    return group.reals(batch)[0]


def _negate(group: _Group, batch: Batch) -> Reals:
    return -group.reals(batch)[0]


def _mean(group: _Group, batch: Batch) -> Reals:
    total, count = group.reals(batch)
    return _default(group, total / count, count == 0)


def _std(group: _Group, batch: Batch) -> Reals:
    total, count, high, low = group.reals(batch)
    return _default(group, _deviation(count, total, high, low), count == 0)


def _deviation(count: Reals, total: Reals, high: Reals, low: Reals) -> Reals:
    squares = high * float(1 << LIMB_BITS) + low
    variance = (count * squares - total * total) / (count * count)
    deviation: Reals = np.sqrt(np.maximum(variance, 0.0))
    return deviation


def _since(group: _Group, batch: Batch) -> Reals:
    (then,) = group.reals(batch)
    elapsed = (batch.at_ms[:, None] - then) / _SECOND_MS
    return _default(group, elapsed, then == 0)


def _age(group: _Group, batch: Batch) -> Reals:
    (first,) = group.reals(batch)
    elapsed = np.minimum(batch.at_ms[:, None] - first, batch.horizon_ms) / _SECOND_MS
    return np.where(first == 0, 0.0, elapsed)


def _changed(group: _Group, batch: Batch) -> Reals:
    (last,) = group.reals(batch)
    own = np.stack([batch.own(f.of) for f in group.features], axis=1)
    unknown = np.isnan(last) | np.isnan(own)
    return np.where(unknown, nan, np.not_equal(last, own))


def _new(group: _Group, batch: Batch) -> Reals:
    (seen,) = group.reals(batch)
    unseen = seen <= batch.at_ms[:, None] - group.windows
    return np.where(np.isnan(seen), nan, unseen)


def _ratio(group: _Group, batch: Batch) -> Reals:
    total, count = group.reals(batch)
    ratio = batch.amount[:, None] * count / total
    return _default(group, np.where(total > 0, ratio, nan), count == 0)


def _normal(group: _Group, batch: Batch) -> Reals:
    count, total, _, _ = group.reals(batch)
    return _default(group, total / count, count == 0)


def _ratio_to_normal(group: _Group, batch: Batch) -> Reals:
    count, total, _, _ = group.reals(batch)
    ratio = batch.amount[:, None] * count / total
    return _default(group, np.where(total > 0, ratio, nan), count == 0)


def _zscore(group: _Group, batch: Batch) -> Reals:
    count, total, high, low = group.reals(batch)
    deviation = _deviation(count, total, high, low)
    score = (batch.amount[:, None] - total / count) / deviation
    return _default(group, np.where(deviation > 0, score, nan), count == 0)


def _rate(group: _Group, batch: Batch) -> Reals:
    frauds, count = group.reals(batch)
    below = count + group.priors[1]
    return _default(group, (frauds + group.priors[0]) / below, below == 0)


def _speed(group: _Group, batch: Batch) -> Reals:
    latitude, longitude, located_at = group.reals(batch)
    here = batch.own("latitude")[:, None], batch.own("longitude")[:, None]
    distance = _haversine_km(latitude, longitude, *here)
    # Two places within one second are one second apart, not infinitely fast.
    elapsed = np.maximum(batch.at_ms[:, None] - located_at, _SECOND_MS) / _HOUR_MS
    return distance / elapsed


def _haversine_km(lat1: Reals, lon1: Reals, lat2: Reals, lon2: Reals) -> Reals:
    a, b = np.radians(lat1), np.radians(lat2)
    chord = (
        np.sin((b - a) / 2) ** 2
        + np.cos(a) * np.cos(b) * np.sin(np.radians(lon2 - lon1) / 2) ** 2
    )
    distance: Reals = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return distance


DERIVATIONS: dict[str, Callable[[_Group, Batch], Reals]] = {
    "copy": _copy,
    "negate": _negate,
    "mean": _mean,
    "std": _std,
    "since": _since,
    "age": _age,
    "changed": _changed,
    "new": _new,
    "ratio": _ratio,
    "normal": _normal,
    "ratio_to_normal": _ratio_to_normal,
    "zscore": _zscore,
    "rate": _rate,
    "speed": _speed,
}
