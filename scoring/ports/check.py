"""A transaction on its way to a decision: what every port is asked about."""

from __future__ import annotations

from dataclasses import dataclass, field

from scoring.core.decision.decision import Door
from scoring.core.fast_init import fast_init
from scoring.core.transaction.transaction import Transaction
from scoring.ports.spans import CallSpan


@fast_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One accepted transaction on its way to a decision.

    `admitted_at` and `deadline` are instants of the event loop's monotonic clock,
    seconds; None means that nobody is waiting (the stream door). `received_at_ms` is
    the broker's timestamp (Kafka) or the receipt (gRPC). `position` is where a Kafka
    record came from, "transactions/3@1234", and `incarnation` which topic of that
    name; empty and 0 for gRPC. `span` is where its trace is written; None without one.
    """

    transaction: Transaction
    payload_hash: bytes
    received_at_ms: int
    door: Door
    admitted_at: float | None = None
    deadline: float | None = None
    position: str = ""
    incarnation: int = 0
    traceparent: str = ""
    dry_run: bool = False
    span: CallSpan | None = field(default=None, compare=False, repr=False)
