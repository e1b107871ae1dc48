"""Streams of payments for tests: ties, gaps, late and repeated events, labels."""

from __future__ import annotations

import random
from dataclasses import dataclass

from scoring.core.decision.decision import Door
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.ports.check import Check
from scoring.ports.follow_ups import LabelledTransaction

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_600_000_000_000
LATENESS_MS = DAY_MS
DEDUPE_MS = 10**12
# A payment that names every entity.
PAID = Transaction(
    "default",
    "t1",
    occurred_at_ms=START_MS,
    amount_minor=1_000,
    currency="EUR",
    card="c1",
    customer="u1",
    merchant="m1",
    terminal="x1",
    device="d1",
)
_STEPS_MS = (0, 0, 1, 1_000, HOUR_MS // 2, HOUR_MS, 5 * HOUR_MS, DAY_MS, 3 * DAY_MS)
_BURST_MS = (0, 1, 1_000, 5_000, 60_000)


AMOUNTS = (None, 0, 100, 100, 250, 250, 1_000, 99_999)


@dataclass(frozen=True, slots=True)
class Shape:
    """How wild a stream is: shares of late, repeated and labelled events.

    `clock_ms` is the unit that its times are stamped in.
    """

    count: int = 150
    late: float = 0.1
    repeated: float = 0.3
    labelled: float = 0.3
    silence: float = 0.005
    hot: bool = False
    clock_ms: int = 1


def transactions(rnd: random.Random, shape: Shape) -> list[Transaction]:
    """Payments in the order in which they are processed."""
    at_ms, made = START_MS, []
    for i in range(shape.count):
        calm = not shape.hot and i % 100 < 60
        at_ms += rnd.choice(_STEPS_MS if calm else _BURST_MS)
        if rnd.random() < shape.silence:
            at_ms += 95 * DAY_MS
        late = rnd.random() < shape.late
        delay = rnd.choice((1, 1_000, HOUR_MS, 20 * HOUR_MS, 30 * HOUR_MS))
        stamped_ms = (at_ms - delay * late) // shape.clock_ms * shape.clock_ms
        made.append(transaction(rnd, f"t{i}", stamped_ms))
    return made


def transaction(rnd: random.Random, id_: str, at_ms: int) -> Transaction:
    """One payment among few entities, some of them not known."""
    located = rnd.random() < 0.3
    return Transaction(
        "default",
        id_,
        payment_id=rnd.choice(("", "p1", "p2")),
        occurred_at_ms=at_ms,
        amount_minor=rnd.choice(AMOUNTS),
        currency=rnd.choice(("EUR", "EUR", "JPY", "KWD")),
        card=rnd.choice(("c1", "c2", "")),
        customer=rnd.choice(("u1", "u2")),
        merchant=rnd.choice(("m1", "m2")),
        terminal=rnd.choice(("t1", "t2", "t3")),
        device=rnd.choice(("", "d1", "d2", "d3")),
        channel=rnd.choice((0, 1, 2)),
        latitude=rnd.choice((10.0, 48.5)) if located else None,
        longitude=2.0 if located else None,
        merchant_category=random.Random(id_).choice(("", "5411")),
        attributes=own_texts(random.Random(id_)),
        numbers=own_numbers(random.Random(id_)),
    )


def own_numbers(rnd: random.Random) -> dict[str, float]:
    """Numbers of the caller's own: below zero, not quite a step, and too large."""
    points = rnd.choice((0.1, 0.2, 0.30000000000000004, -2.5, 0.0, 1e9, -1e9, 1e12))
    return {"points": points} if rnd.random() < 0.8 else {}


def own_texts(rnd: random.Random) -> dict[str, str]:
    """Texts of the caller's own, some of them not known and some of them odd."""
    found = {
        "Basket": rnd.choice(("", "b1", "b2", "}{a", "b\x1f1")),
        "basket": rnd.choice(("other", "")),
        "plan": rnd.choice(("", "gold", "new", "geschäftlich")),
        "a b/c": rnd.choice(("é", "e\u0301", "it's")),
    }
    return {key: text for key, text in found.items() if rnd.random() < 0.9}


def check(t: Transaction, *, dry_run: bool = False) -> Check:
    """The transaction on its way to a decision."""
    return Check(
        transaction=t,
        payload_hash=payload_hash(t),
        received_at_ms=t.occurred_at_ms,
        door=Door.GRPC,
        dry_run=dry_run,
    )


def labels(
    rnd: random.Random, seen: list[Transaction], shape: Shape
) -> list[LabelledTransaction]:
    """Labels of some payments, now and then reversed by a second version."""
    made = []
    for t in seen:
        if rnd.random() >= shape.labelled:
            continue
        known_at_ms = t.occurred_at_ms + rnd.choice((HOUR_MS, 6 * DAY_MS, 9 * DAY_MS))
        for version in range(1, rnd.choice((2, 2, 3))):
            fraud = rnd.choice((True, True, False, None))
            made.append(
                LabelledTransaction(
                    transaction=t,
                    version=version,
                    fraud=fraud,
                    known_at_ms=known_at_ms + (version - 1) * HOUR_MS,
                )
            )
    return made
