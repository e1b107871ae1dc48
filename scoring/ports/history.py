"""What the store knows of entities: observed as of a transaction, and foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.core.decision.decision import Degradation
from scoring.core.fast_init import fast_init
from scoring.core.transaction.transaction import Transaction
from scoring.ports.check import Check
from scoring.ports.patience import StorePatience


class Applied(Enum):
    """What `observe` did with a transaction."""

    COUNTED = "counted"
    REPEATED = "repeated"  # counted before: features as of then, nothing changed
    TOO_LATE = "too_late"  # beyond the lateness allowed: read, never counted
    DRY_RUN = "dry_run"  # evaluated as if counted, nothing changed
    CONFLICT = "conflict"  # the id is claimed by another payload: nothing changed
    PARTIAL = "partial"  # a part of the store was unavailable: to be repeated


@fast_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the store knows as of one transaction.

    `values` holds the catalogue's stored statistics (float64, NaN unknown) in
    compiled order; `inexact` names those known only within their bound.
    `stored` is the recorded decision (Decision bytes) when there is one already.
    `processed_seq` orders all observations of one store; in a cluster, of those that
    overlap in two processes an entity may have seen the later first.
    """

    values: NDArray[np.float64]
    applied: Applied = Applied.COUNTED
    inexact: tuple[str, ...] = ()
    degradations: tuple[Degradation, ...] = ()
    stored: bytes | None = None
    processed_seq: int = 0


class HistoryStore(Protocol):
    """The statistics of entities. Raises as `ports.store` says."""

    async def observe(
        self,
        checks: Sequence[Check],
        *,
        timeout_s: float | None = None,
        patience: StorePatience = StorePatience.WAIT,
    ) -> list[Observation]:
        """Claim, update and read, in one exchange; atomic per entity.

        Idempotent per entity and transaction. Returns one observation a check, in
        order; the transactions of one batch see each other in that order. A check
        with `dry_run` changes nothing. An id claimed by another payload changes
        nothing and comes back as CONFLICT.

        Where it must answer in time, a store of several parts does while some are
        unavailable: what it cannot tell whole comes back as PARTIAL, its known values
        with a degradation that says what is missing. Such a check is to be observed
        again.
        """
        ...

    async def forecast(
        self,
        transaction: Transaction,
        *,
        features: Sequence[str],
        after_ms: int,
        instants_max: int,
        timeout_s: float | None = None,
    ) -> list[tuple[int, NDArray[np.float64]]]:
        """How the stored values fall if nothing else is attempted.

        One (at_ms, values) for each instant after `after_ms` at which a window of
        one of the `features` loses an event, earliest first, at most
        `instants_max`: what the same payload would observe then, from the events
        ordered at or before the transaction. Entities that own none of the
        `features` are left unknown.
        """
        ...
