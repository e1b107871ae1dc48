"""A payment as one of its lifecycle events shows it: what event statistics read."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from scoring.core.features.catalogue import Catalogue
from scoring.core.features.event_fields import ISSUER_OUTCOMES
from scoring.core.features.measure import HappenedTransaction
from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.core.transaction.payment_terms import ThreeDsStatus
from scoring.core.transaction.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Happened:
    """A payment and what happened to it, and by what its entities find the event."""

    transaction: HappenedTransaction
    at_ms: int
    order_hash: int
    id: str


def happened(catalogue: Catalogue, t: Transaction, event: LifecycleEvent) -> Happened:
    """What an event adds to the histories of its payment's entities.

    Its amount is the event's own, else the payment's, by the rate of the event's day.
    """
    moved = event.amount_minor if event.amount_minor is not None else t.amount_minor
    that_day = replace(t, amount_minor=moved, occurred_at_ms=event.occurred_at_ms)
    result = event.three_ds_result
    own = HappenedTransaction(
        **{f.name: getattr(t, f.name) for f in fields(Transaction)},
        event=LifecycleKind(event.kind).name,
        issuer_outcome=ISSUER_OUTCOMES.get(event.kind, ""),
        issuer_code=event.issuer_code,
        three_ds_result=ThreeDsStatus(result).name if result else "",
        event_amount=catalogue.amount(that_day),
        event_known_at_ms=event.known_at_ms,
    )
    return Happened(own, event.occurred_at_ms, event.order_hash, event.place)
