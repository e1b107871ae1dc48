"""What of a transaction's features rests on payments whose amount is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from scoring.core.features.catalogue import Catalogue, Feature
from scoring.core.features.derivation import Reals


@dataclass(frozen=True, slots=True)
class UnknownAmounts:
    """What rests on windows that hold an unknown amount: features and entities."""

    features: frozenset[str] = frozenset()
    entities: tuple[str, ...] = ()


ALL_KNOWN = UnknownAmounts()


def unknown_amounts(
    catalogue: Catalogue, values: Sequence[Reals]
) -> list[UnknownAmounts]:
    """For each transaction's `Observation.values`, what is not quite known of it.

    Sums, maxima and counts are "at least"; what cannot be bounded is missing.
    """
    every, known, windows = _amount_windows(catalogue)
    if not windows or not values:
        return [ALL_KNOWN] * len(values)
    table = np.array(values)
    held = table[:, known] < table[:, every]
    if not held.any():
        return [ALL_KNOWN] * len(values)
    return [
        _united([windows[i] for i in np.flatnonzero(row)]) if row.any() else ALL_KNOWN
        for row in held
    ]


def _united(windows: list[UnknownAmounts]) -> UnknownAmounts:
    entities = dict.fromkeys(entity for one in windows for entity in one.entities)
    return UnknownAmounts(
        frozenset[str]().union(*(one.features for one in windows)), tuple(entities)
    )


@cache
def _amount_windows(
    catalogue: Catalogue,
) -> tuple[list[int], list[int], tuple[UnknownAmounts, ...]]:
    """The two counts of each window of amounts, and what rests on it."""
    resting: dict[tuple[int, ...], list[Feature]] = {}
    for feature in catalogue.features.values():
        if feature.amount_counts:
            resting.setdefault(feature.amount_counts, []).append(feature)
    every, known = ([pair[i] for pair in resting] for i in (0, 1))
    windows = [
        UnknownAmounts(frozenset(f.name for f in own), (own[0].entity,))
        for own in resting.values()
    ]
    return every, known, tuple(windows)
