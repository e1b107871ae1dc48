"""The record of decisions: the first writer of an id wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scoring.core.decision.decision import Outcome
from scoring.core.fast_init import fast_init
from scoring.core.transaction.transaction import Transaction
from scoring.ports.check import Check
from scoring.ports.patience import StorePatience


@fast_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A decision to be recorded.

    `decision` is the encoded Decision (core and trace); `logged` is the record for
    the decisions topic (the same with its transaction), kept in the outbox until
    `published` is told; None keeps no outbox entry (the stream door's own input
    log carries it). `transaction` and `outcome` let the statistics that count by
    outcome see it; without them they never do.
    """

    tenant: str
    transaction_id: str
    payload_hash: bytes
    decision: bytes
    logged: bytes | None = None
    transaction: Transaction | None = None
    outcome: Outcome = Outcome.UNSPECIFIED


@fast_init
@dataclass(frozen=True, slots=True)
class Recorded:
    """What is in the record after `record`: the first writer's bytes.

    `first` is true where ours is the record; `conflict` where another payload is.
    Where `reached` is false, what is recorded is not known: its part of the
    store was unavailable.
    """

    decision: bytes
    first: bool
    conflict: bool = False
    reached: bool = True


class RecordStore(Protocol):
    """The decisions recorded. Raises as `ports.store` says."""

    async def record(
        self,
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None = None,
        patience: StorePatience = StorePatience.WAIT,
    ) -> list[Recorded]:
        """Record decisions in one exchange; the first writer wins.

        With the decision its outcome is counted, where a statistic asks for it. Where
        it must answer in time, those whose part of the store is unavailable come back
        as not `reached`.
        """
        ...

    async def reconcile(
        self,
        checks: Sequence[Check],
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None = None,
    ) -> list[Recorded]:
        """Record decisions that were made without the store, and count their checks.

        As `record` and then `observe`, in one exchange where the store is one, and
        nobody asks what was seen.
        """
        ...

    async def decisions(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[bytes | None]:
        """Return recorded decisions by (tenant, transaction id), None where none."""
        ...

    async def payments(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[Transaction | None]:
        """The payments of recorded decisions by (tenant, transaction id).

        Whole, but for the attributes where an earlier release recorded it; None where
        none is recorded.
        """
        ...
