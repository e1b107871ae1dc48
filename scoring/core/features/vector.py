"""Stored slots and the transaction itself to the model's vector.

Online `vectorise` computes payment by payment, offline `derive` column by column;
both by the formulas of `derivation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from math import nan

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue, Feature
from scoring.core.features.derivation import FORMULAS, Reals
from scoring.core.features.row import default_of, row_of
from scoring.core.transaction.transaction import Transaction

Matrix = NDArray[np.float32]


def unknown_values(catalogue: Catalogue) -> Reals:
    """The slots of a transaction whose history could not be read: all NaN.

    >>> from scoring.core.features.catalogue import default_catalogue
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
    row, amount = row_of(catalogue), catalogue.amount
    shape = len(transactions), len(catalogue.names)
    with np.errstate(all="ignore"):
        rows = [
            row(slots.tolist(), transaction, amount(transaction))
            for transaction, slots in zip(transactions, values, strict=True)
        ]
        matrix = np.array(rows, dtype=np.float64).reshape(shape).astype(np.float32)
    # One NaN for every way of being missing, so that bytes survive their JSON.
    matrix[np.isnan(matrix)] = nan
    return matrix


@dataclass(frozen=True, slots=True)
class DerivationColumns:
    """What whole columns are derived from: stored slots (n, stored) and payments' own.

    `at_ms` is (n,); `measured(name)` gives (n,) of a measure, `own(name)` of a hashed
    text field or a coordinate, NaN unknown.
    """

    stored: Reals
    at_ms: Reals
    measured: Callable[[str], Reals]
    own: Callable[[str], Reals]
    horizon_ms: int


def derive(catalogue: Catalogue, table: DerivationColumns) -> Matrix:
    """All features that rest on stored slots; plain values are left NaN."""
    matrix = np.full((len(table.at_ms), len(catalogue.names)), nan, np.float32)
    with np.errstate(all="ignore"):
        for group in _groups(catalogue):
            matrix[:, group.columns] = group.derived(table)
    for i, feature in enumerate(catalogue.features.values()):
        if feature.spoiled and feature.amount_counts:
            every, known = feature.amount_counts
            matrix[table.stored[:, known] < table.stored[:, every], i] = nan
    return matrix


@dataclass(frozen=True, slots=True)
class _Group:
    """Features of one formula, computed together."""

    formula: Callable[..., Reals]
    columns: list[int]
    features: tuple[Feature, ...]

    def derived(self, table: DerivationColumns) -> Reals:
        """(n, features of the group)."""
        slots = zip(*(f.slots for f in self.features), strict=True)
        offered: dict[str, Callable[[], object]] = {
            "at_ms": lambda: table.at_ms[:, None],
            "amount": lambda: np.stack(
                [table.measured(f.measure) for f in self.features], axis=1
            ),
            "latitude": lambda: table.own("latitude")[:, None],
            "longitude": lambda: table.own("longitude")[:, None],
            "own": lambda: np.stack([table.own(f.of) for f in self.features], axis=1),
            "default": lambda: np.array([default_of(f) for f in self.features]),
            "window_ms": lambda: np.array(
                [float(f.window_ms or 0) for f in self.features]
            ),
            "fraud_prior": lambda: np.array([f.prior[0] for f in self.features]),
            "count_prior": lambda: np.array([f.prior[1] for f in self.features]),
            "horizon_ms": lambda: table.horizon_ms,
        }
        scale = np.array([f.scale for f in self.features])
        asked = signature(self.formula).parameters.keys() & offered.keys()
        values = self.formula(
            *(table.stored[:, list(need)] for need in slots),
            **{name: offered[name]() for name in asked},
        )
        return values / scale if (scale != 1).any() else values


@cache
def _groups(catalogue: Catalogue) -> tuple[_Group, ...]:
    listed = list(enumerate(catalogue.features.values()))
    groups = []
    for kind, formula in FORMULAS.items():
        chosen = [(i, f) for i, f in listed if f.derive == kind]
        if chosen:
            columns, features = zip(*chosen, strict=True)
            groups.append(_Group(formula, list(columns), features))
    return tuple(groups)
