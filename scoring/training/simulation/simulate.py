"""A seeded world of payments with known frauds, as a table of our fields.

The Handbook's world (payments.py, attacks.py) with the circumstances our
transactions carry. Its truth columns, `fraud` and `scenario`, are an answer key
and never features. Figures from a simulated world say nothing of a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.transaction.transaction import Channel
from scoring.training.progress import Report, silent
from scoring.training.simulation import attacks
from scoring.training.simulation.payments import (
    CATEGORIES,
    COUNTRIES,
    NOBODY,
    Payments,
    Places,
    home_country,
    pay,
    retried,
    settle,
)

TRUTH_COLUMNS = ("fraud", "scenario")
_TERMINALS_PER_MERCHANT = 4
_HOMES_V4 = 1 << 16  # /24 networks of 10.0.0.0/8


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What to simulate. The defaults are the Handbook's, over 30 days.

    Rates are per day of the whole world. `start_ms` is the instant of its first
    midnight; `id_prefix` begins every transaction and payment id.
    """

    seed: int = 0
    days: int = 30
    customers: int = 5_000
    terminals: int = 10_000
    radius: float = 5.0
    start_ms: int = 1_522_540_800_000  # 2018-04-01, as the Handbook
    terminals_compromised_per_day: int = 2
    customers_compromised_per_day: int = 3
    card_testing_per_day: float = 2.0
    takeovers_per_day: float = 4.0
    retry_share: float = 0.01
    id_prefix: str = "tx"


def simulate(world: World, *, report: Report = silent) -> Any:
    """Return the world's payments as a pyarrow Table, in event order.

    Columns are the fields of a Transaction (location as latitude and longitude;
    channel and entry_mode as their numbers; empty text and null are "not known")
    and the truth: `fraud` (bool) and `scenario` (0 genuine, 1 large amount,
    2 terminal, 3 customer, 4 card testing, 5 takeover). The same world gives the
    same table.
    """
    rng = np.random.default_rng(world.seed)
    report("simulate", 0.0)
    places = settle(
        rng,
        customers=world.customers,
        terminals=world.terminals,
        radius=world.radius,
    )
    report("simulate", 0.2)
    payments = retried(rng, pay(rng, places, days=world.days), world.retry_share)
    report("simulate", 0.5)
    payments = _attacked(rng, world, places, payments)
    payments = payments.take(np.argsort(payments.at_ms, kind="stable"))
    report("simulate", 0.7)
    table = _table(world, places, payments)
    report("simulate", 1.0)
    return table


def _attacked(
    rng: np.random.Generator, world: World, places: Places, payments: Payments
) -> Payments:
    payments = attacks.large_amounts(payments)
    payments = attacks.compromised_terminals(
        rng,
        payments,
        terminals=world.terminals,
        per_day=world.terminals_compromised_per_day,
    )
    payments = attacks.compromised_customers(
        rng,
        payments,
        customers=world.customers,
        per_day=world.customers_compromised_per_day,
    )
    payments = attacks.card_testing(rng, places, payments, world.card_testing_per_day)
    return attacks.takeovers(rng, places, payments, world.takeovers_per_day)


def _table(world: World, places: Places, p: Payments) -> Any:
    import pyarrow as pa

    count = len(p)
    terminal_at = places.terminals[p.terminal]
    channel = places.terminal_channel[p.terminal]
    at_shop = channel != Channel.ECOMMERCE
    home = home_country(places.customers[p.customer])
    columns = {
        "occurred_at_ms": pa.array(world.start_ms + p.at_ms),
        "id": _numbered(f"{world.id_prefix}{{:09d}}", np.arange(count)),
        "payment_id": _numbered(f"{world.id_prefix}-p{{:09d}}", p.payment),
        "attempt": pa.array(p.attempt.astype(np.int32)),
        "amount_minor": pa.array(p.amount_minor),
        "currency": _named(["EUR"], np.zeros(count, dtype=np.int64)),
        "card": _numbered("card-{:07d}", p.customer),
        "customer": _numbered("customer-{:07d}", p.customer),
        "merchant": _numbered("shop-{:06d}", p.terminal // _TERMINALS_PER_MERCHANT),
        "terminal": _numbered("terminal-{:07d}", p.terminal),
        "device": _numbered("device-{:07d}", p.device),
        "channel": pa.array(channel.astype(np.int32)),
        "entry_mode": pa.array(p.entry_mode.astype(np.int32)),
        "merchant_category": _named(CATEGORIES, places.terminal_category[p.terminal]),
        "card_country": _named(COUNTRIES, home),
        "merchant_country": _named(COUNTRIES, home_country(terminal_at)),
        "ip_country": _named(COUNTRIES, p.ip_country),
        # The grid covers five degrees of central Europe; online has no place.
        "latitude": pa.array(45 + terminal_at[:, 1] / 20, mask=~at_shop),
        "longitude": pa.array(5 + terminal_at[:, 0] / 20, mask=~at_shop),
        "email": _numbered("person-{:07d}@mail.example", _mailbox(places, p)),
        "ip": _texts(_address, p.device),
        "fraud": pa.array(p.scenario > 0),
        "scenario": pa.array(p.scenario.astype(np.int8)),
    }
    return pa.table(columns)


def _mailbox(places: Places, p: Payments) -> NDArray[np.int64]:
    """Whose e-mail address an online payment gives: the customer's, and in card testing
    a new one each time. It draws no chance: the rest of the world stays as it was.
    """
    tested = p.scenario == attacks.CARD_TESTING
    owner = np.where(tested, len(places.customers) + p.payment, p.customer)
    return np.where(p.device == NOBODY, NOBODY, owner)


def _address(device: int) -> str:
    """The private IP address of a device: a home has a network, of two devices.

    >>> _address(0), _address(1), _address(1_000_000)
    ('10.0.0.1', '10.0.0.2', 'fd00:7:a120::1')
    """
    home, host = device // 2, device % 2 + 1
    if home < _HOMES_V4:
        return f"10.{home >> 8}.{home & 255}.{host}"
    return str(IPv6Address(f"fd00:{home >> 16:x}:{home & 0xFFFF:x}::{host}"))


def _numbered(pattern: str, numbers: NDArray[np.int64]) -> Any:
    return _texts(pattern.format, numbers)


def _texts(text: Callable[[int], str], numbers: NDArray[np.int64]) -> Any:
    """Texts of numbers; NOBODY becomes the empty text."""
    distinct, rows = np.unique(numbers, return_inverse=True)
    texts = ["" if n == NOBODY else text(n) for n in distinct.tolist()]
    return _named(texts, rows)


def _named(names: Sequence[str], rows: NDArray[Any]) -> Any:
    """The names at the rows; NOBODY becomes the empty text."""
    import pyarrow as pa

    texts = pa.array([*names, ""], type=pa.string())
    return texts.take(pa.array(np.where(rows < 0, len(names), rows)))
