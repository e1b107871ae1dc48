"""Cuts a batch where a transaction must see how one before it was decided."""

from __future__ import annotations

from collections.abc import Sequence

from scoring.core.features.catalogue import Catalogue
from scoring.core.transaction.transaction import Transaction


def apart(catalogue: Catalogue, transactions: Sequence[Transaction]) -> list[slice]:
    """Consecutive pieces in which no entity that is counted by outcome occurs twice.

    One piece, and no work, where nothing is counted by outcome.

    >>> from scoring.core.features.catalogue import default_catalogue
    >>> apart(default_catalogue(), [Transaction("default", "t1", card="c1")] * 3)
    [slice(0, 3, None)]
    """
    plans = [plan for plan in catalogue.plans if plan.by_outcome]
    if not plans:
        return [slice(0, len(transactions))]
    starts: list[int] = [0]
    met: set[tuple[str, ...]] = set()
    for i, t in enumerate(transactions):
        keys = {
            (plan.name, t.tenant, *own) for plan in plans if (own := plan.tokens(t))
        }
        if met & keys:
            starts.append(i)
            met = set()
        met |= keys
    return [
        slice(a, b)
        for a, b in zip(starts, [*starts[1:], len(transactions)], strict=True)
    ]
