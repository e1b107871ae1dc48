"""Lifecycle events of a stream of payments: late, early known, repeated, reordered."""

from __future__ import annotations

import random

import pyarrow as pa
from catalogues import _FOLDER
from rates_parts import DATED
from streams import DAY_MS, HOUR_MS

from scoring.core.features.catalogue import load_catalogue
from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.core.transaction.payment_terms import ThreeDsStatus
from scoring.core.transaction.transaction import Transaction
from scoring.ports.follow_ups import TransactionEvent

LIFECYCLE = load_catalogue(
    (_FOLDER / "lifecycle.yaml").read_text(), name="lifecycle.yaml"
).converting_by(DATED)
_AFTER_MS = (0, 1, 1_000, 60_000, HOUR_MS, 30 * HOUR_MS, 6 * DAY_MS)
_KNOWN_MS = (0, 0, 1_000, HOUR_MS, 2 * DAY_MS)


def event_of(rnd: random.Random, t: Transaction, event_id: str) -> TransactionEvent:
    """Something that happened to a payment, known at once or later."""
    kind = rnd.choice((1, 2, 2, 2, 3, 4, 4, 5, 6))
    occurred_at_ms = t.occurred_at_ms + rnd.choice(_AFTER_MS)
    event = LifecycleEvent(
        t.tenant,
        t.id,
        event_id,
        kind,
        occurred_at_ms,
        amount_minor=rnd.choice((None, None, 0, 90, 300)),
        issuer_code=rnd.choice(("", "51", "05")) if kind in (1, 2, 3) else "",
        three_ds_result=rnd.choice((1, 7)) if kind == 6 else 0,
        known_at_ms=occurred_at_ms + rnd.choice(_KNOWN_MS),
    )
    return TransactionEvent(t, event)


def events_of(
    rnd: random.Random, seen: list[Transaction], share: float = 0.7
) -> list[TransactionEvent]:
    """Events of some payments, several of one, in any order."""
    made = [
        event_of(rnd, t, f"e{i}")
        for t in seen
        if rnd.random() < share
        for i in range(rnd.choice((1, 1, 2, 3)))
    ]
    rnd.shuffle(made)
    return made


def events_table(told):
    """Events as the offline engine takes them."""
    events = [one.event for one in told]
    return pa.table(
        {
            "tenant": [e.tenant for e in events],
            "transaction_id": [e.transaction_id for e in events],
            "event_id": [e.event_id for e in events],
            "kind": [LifecycleKind(e.kind).name.lower() for e in events],
            "occurred_at_ms": [e.occurred_at_ms for e in events],
            "known_at_ms": [e.known_at_ms for e in events],
            "amount_minor": pa.array([e.amount_minor for e in events], pa.int64()),
            "issuer_code": [e.issuer_code for e in events],
            "three_ds_result": [
                ThreeDsStatus(e.three_ds_result).name if e.three_ds_result else ""
                for e in events
            ],
        }
    )
