"""Rows as a store that fails leaves them: some are learned without history, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue

# Of the rows to fit, those that are repeated: docs/decisions/model-training.md.
LOST_SHARE = 0.1
_ALL_SHARE = 0.5  # of those, that lose all history; the others lose one entity's

Rows = tuple[NDArray[np.float32], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Losses:
    """What is lost together: (entities, features), the features of each history."""

    histories: NDArray[np.bool_]

    @classmethod
    def from_catalogue(cls, catalogue: Catalogue) -> Losses:
        """One history for each entity that has a feature."""
        of = [catalogue.features[name].entity for name in catalogue.names]
        entities = [entity for entity in dict.fromkeys(of) if entity != "transaction"]
        told = [[own == entity for own in of] for entity in entities]
        return cls(np.array(told, dtype=bool).reshape(len(entities), len(of)))

    def learned(
        self,
        matrix: NDArray[np.float32],
        told: NDArray[Any],
        rows: NDArray[np.int64],
        *,
        seed: int,
    ) -> Rows:
        """The chosen rows, then a tenth of them once more with their history lost.

        With what is `told` of each: labels, or anything else. A table's rows all have
        their history. A model of them has never seen a payment without, and what it
        says of one is chance: see the decision.

        >>> of_card = Losses(np.array([[False, True]]))
        >>> matrix = np.ones((1_000, 2), dtype=np.float32)
        >>> rows = np.arange(1_000)
        >>> seen, _ = of_card.learned(matrix, matrix[:, 0] > 0, rows, seed=0)
        >>> np.isnan(seen[:1_000]).any(), np.isnan(seen[1_000:]).mean(axis=0).tolist()
        (np.False_, [0.0, 1.0])
        """
        if not len(self.histories):
            return matrix[rows], told[rows]
        chance = np.random.default_rng(seed)
        repeated = rows[chance.random(len(rows)) < LOST_SHARE]
        lost = np.where(
            chance.random((len(repeated), 1)) < _ALL_SHARE,
            self.histories.any(axis=0),
            self.histories[chance.integers(len(self.histories), size=len(repeated))],
        )
        seen = np.concatenate([rows, repeated])
        taken = matrix[seen]
        taken[len(rows) :][lost] = np.nan
        return taken, told[seen]
