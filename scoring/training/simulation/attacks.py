"""The five patterns of fraud in the simulated world.

1 to 3 are the Handbook's (a large amount, a compromised terminal, a compromised
customer); 4, card testing, and 5, account takeover, are ours. They are applied in
this order and a later one overwrites the scenario of an earlier one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scoring.core.transaction.transaction import Channel, EntryMode
from scoring.training.simulation.payments import (
    COUNTRIES,
    DAY_MS,
    HOME_COUNT,
    Payments,
    Places,
    joined,
)

LARGE_AMOUNT, TERMINAL, CUSTOMER, CARD_TESTING, TAKEOVER = 1, 2, 3, 4, 5
_LARGE_MINOR = 22_000
_CUSTOMER_DAYS = 14


def large_amounts(payments: Payments) -> Payments:
    """Scenario 1: every amount above 220.00 is fraud."""
    return _marked(payments, payments.amount_minor > _LARGE_MINOR, LARGE_AMOUNT)


def compromised_terminals(
    rng: np.random.Generator, payments: Payments, *, terminals: int, per_day: int
) -> Payments:
    """Scenario 2: each day some terminals turn bad for 28 days."""
    bad = _spells(rng, payments, payments.terminal, (terminals, per_day, 28))
    return _marked(payments, bad, TERMINAL)


def compromised_customers(
    rng: np.random.Generator, payments: Payments, *, customers: int, per_day: int
) -> Payments:
    """Scenario 3: each day some customers; a third of 14 days' amounts times five."""
    bad = _spells(
        rng, payments, payments.customer, (customers, per_day, _CUSTOMER_DAYS)
    )
    bad &= rng.random(len(payments)) < 1 / 3
    payments = _marked(payments, bad, CUSTOMER)
    amount = np.where(bad, payments.amount_minor * 5, payments.amount_minor)
    return replace(payments, amount_minor=amount)


def _spells(
    rng: np.random.Generator,
    payments: Payments,
    who: NDArray[np.int64],
    shape: tuple[int, int, int],
) -> NDArray[np.bool_]:
    """Which rows fall into a spell of (of `count` entities, `per_day`, `days`)."""
    count, per_day, length = shape
    day = payments.at_ms // DAY_MS
    days = int(day.max(initial=0)) + 1
    bad = np.zeros((days, count), dtype=bool)
    for first in range(days):
        drawn = rng.choice(count, size=min(per_day, count), replace=False)
        bad[first : first + length, drawn] = True
    return bad[day, who]


def _marked(payments: Payments, rows: NDArray[np.bool_], scenario: int) -> Payments:
    return replace(payments, scenario=np.where(rows, scenario, payments.scenario))


def card_testing(
    rng: np.random.Generator, places: Places, payments: Payments, per_day: float
) -> Payments:
    """Scenario 4: in minutes, one device tries many cards at one online terminal.

    Amounts are 0.50 to 5.00; every attempt is a payment of its own.
    """
    online = np.flatnonzero(places.terminal_channel == Channel.ECOMMERCE)
    days = int(payments.at_ms.max(initial=0) // DAY_MS) + 1
    bursts = int(rng.poisson(per_day * days)) if len(online) else 0
    sizes = rng.integers(20, 60, bursts)
    start = np.repeat(rng.integers(0, days * DAY_MS, bursts), sizes)
    span = np.repeat(rng.integers(120_000, 600_000, bursts), sizes)
    count = int(sizes.sum())
    first_device = payments.device.max(initial=0) + 1
    first_payment = payments.payment.max(initial=0) + 1
    foreign = rng.integers(HOME_COUNT, len(COUNTRIES), bursts)
    tested = Payments(
        at_ms=start + (rng.random(count) * span).astype(np.int64),
        customer=rng.integers(0, len(places.customers), count),
        terminal=np.repeat(rng.choice(online, bursts), sizes) if bursts else start,
        amount_minor=rng.integers(50, 500, count),
        payment=first_payment + np.arange(count),
        attempt=np.ones(count, dtype=np.int64),
        device=np.repeat(first_device + np.arange(bursts), sizes),
        ip_country=np.repeat(foreign, sizes),
        entry_mode=np.full(count, int(EntryMode.MANUAL)),
        scenario=np.full(count, CARD_TESTING),
    )
    return joined([payments, tested])


def takeovers(
    rng: np.random.Generator, places: Places, payments: Payments, per_day: float
) -> Payments:
    """Scenario 5: a stranger's new device, from abroad, spends a customer's money.

    Three to eight payments of two to six times the usual, online, within a day.
    """
    online = np.flatnonzero(places.terminal_channel == Channel.ECOMMERCE)
    days = int(payments.at_ms.max(initial=0) // DAY_MS) + 1
    thefts = int(rng.poisson(per_day * days)) if len(online) else 0
    sizes = rng.integers(3, 9, thefts)
    count = int(sizes.sum())
    start = np.repeat(rng.integers(0, days * DAY_MS, thefts), sizes)
    customer = np.repeat(rng.integers(0, len(places.customers), thefts), sizes)
    amount = places.mean_amount[customer] * rng.uniform(2, 6, count) * 100
    first_device = payments.device.max(initial=0) + 1
    first_payment = payments.payment.max(initial=0) + 1
    foreign = rng.integers(HOME_COUNT, len(COUNTRIES), thefts)
    stolen = Payments(
        at_ms=start + (rng.random(count) * DAY_MS).astype(np.int64),
        customer=customer,
        terminal=rng.choice(online, count) if count else customer,
        amount_minor=np.rint(amount).astype(np.int64),
        payment=first_payment + np.arange(count),
        attempt=np.ones(count, dtype=np.int64),
        device=np.repeat(first_device + np.arange(thefts), sizes),
        ip_country=np.repeat(foreign, sizes),
        entry_mode=np.full(count, int(EntryMode.ON_FILE)),
        scenario=np.full(count, TAKEOVER),
    )
    return joined([payments, stolen])
