"""The genuine half of the simulated world: who pays whom, when and how much.

Own implementation of the specification of the Fraud Detection Handbook
(Le Borgne et al. 2022, chapter 3): customers and terminals on a 100 x 100 grid,
each customer paying at the terminals within a radius.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from scoring.core.transaction.transaction import Channel, EntryMode

DAY_MS = 86_400_000
NOBODY = -1  # an index that names nothing
COUNTRIES = ("DE", "FR", "NL", "IT", "AT", "BE", "US", "BR", "NG", "VN", "RO", "ZA")
HOME_COUNT = 6  # the first countries are those of the grid; all pay in euro
CATEGORIES = (
    "5411", "5541", "5812", "5912", "5999",  # grocery, fuel, food, pharmacy, other
    "5732", "5691", "7995", "4899", "6011",  # electronics, clothes, bets, TV, cash
)  # fmt: skip
_PLACES_PER_CHUNK = 512  # bounds the distance matrix to 512 x terminals


@dataclass(frozen=True, slots=True)
class Places:
    """Who is where. Positions are grid units, (n, 2); indices are rows."""

    customers: NDArray[np.float64]
    terminals: NDArray[np.float64]
    mean_amount: NDArray[np.float64]  # (customers,) major units
    payments_per_day: NDArray[np.float64]  # (customers,)
    near: NDArray[np.int64]  # terminals in reach, customer after customer
    near_start: NDArray[np.int64]  # (customers + 1,) offsets into `near`
    terminal_channel: NDArray[np.int8]
    terminal_category: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Payments:
    """Columns of equal length, one row an attempt; NOBODY means none."""

    at_ms: NDArray[np.int64]  # since the world began
    customer: NDArray[np.int64]
    terminal: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    payment: NDArray[np.int64]
    attempt: NDArray[np.int64]
    device: NDArray[np.int64]
    ip_country: NDArray[np.int64]
    entry_mode: NDArray[np.int64]
    scenario: NDArray[np.int64]  # 0 genuine, else which pattern of fraud

    def __len__(self) -> int:
        return len(self.at_ms)

    def take(self, rows: NDArray[np.int64]) -> Payments:
        """The rows chosen, in that order."""
        return Payments(*(getattr(self, f.name)[rows] for f in fields(self)))


def joined(parts: list[Payments]) -> Payments:
    """All parts, one below the other."""
    names = [f.name for f in fields(Payments)]
    return Payments(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def settle(
    rng: np.random.Generator, *, customers: int, terminals: int, radius: float
) -> Places:
    """Draw who is where, what they spend and which terminals are in reach.

    >>> places = settle(np.random.default_rng(0), customers=9, terminals=9, radius=200)
    >>> np.diff(places.near_start).tolist()
    [9, 9, 9, 9, 9, 9, 9, 9, 9]
    """
    home = rng.uniform(0, 100, (customers, 2))
    mean_amount = rng.uniform(5, 100, customers)
    payments_per_day = rng.uniform(0, 4, customers)
    shops = rng.uniform(0, 100, (terminals, 2))
    near, counts = _within(home, shops, radius)
    channel = rng.choice(
        [Channel.POINT_OF_SALE, Channel.ECOMMERCE, Channel.ATM],
        size=terminals,
        p=[0.65, 0.30, 0.05],
    )
    category = rng.integers(0, len(CATEGORIES) - 1, terminals)
    category[channel == Channel.ATM] = CATEGORIES.index("6011")
    return Places(
        customers=home,
        terminals=shops,
        mean_amount=mean_amount,
        payments_per_day=payments_per_day,
        near=near,
        near_start=np.concatenate(([0], np.cumsum(counts))),
        terminal_channel=channel.astype(np.int8),
        terminal_category=category.astype(np.int8),
    )


def _within(
    home: NDArray[np.float64], shops: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    near, counts = [], []
    for start in range(0, len(home), _PLACES_PER_CHUNK):
        block = home[start : start + _PLACES_PER_CHUNK]
        square = ((block[:, None, :] - shops[None, :, :]) ** 2).sum(axis=2)
        inside = square < radius * radius
        near.append(np.nonzero(inside)[1])
        counts.append(inside.sum(axis=1))
    return np.concatenate(near), np.concatenate(counts)


def pay(rng: np.random.Generator, places: Places, *, days: int) -> Payments:
    """A world without fraud: every customer's payments over `days`."""
    daily = rng.poisson(places.payments_per_day, (days, len(places.customers)))
    day, customer = np.nonzero(daily)
    repeats = daily[day, customer]
    day, customer = np.repeat(day, repeats), np.repeat(customer, repeats)
    second = rng.normal(43_200, 20_000, len(day)).astype(np.int64)
    reach = np.diff(places.near_start)[customer]
    kept = (second > 0) & (second < DAY_MS // 1000) & (reach > 0)
    day, customer, second = day[kept], customer[kept], second[kept]
    count = len(day)
    mean = places.mean_amount[customer]
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount)
    at_ms = day * DAY_MS + second * 1000 + rng.integers(0, 1000, count)
    chosen = (rng.random(count) * reach[kept]).astype(np.int64)
    terminal = places.near[places.near_start[customer] + chosen]
    plain = Payments(
        at_ms=at_ms,
        customer=customer,
        terminal=terminal,
        amount_minor=np.rint(amount * 100).astype(np.int64),
        payment=np.arange(count),
        attempt=np.ones(count, dtype=np.int64),
        device=np.full(count, NOBODY),
        ip_country=np.full(count, NOBODY),
        entry_mode=np.zeros(count, dtype=np.int64),
        scenario=np.zeros(count, dtype=np.int64),
    )
    return _with_circumstances(rng, places, plain)


def _with_circumstances(
    rng: np.random.Generator, places: Places, payments: Payments
) -> Payments:
    """Add device, IP country and entry mode as the channel implies."""
    count = len(payments)
    online = places.terminal_channel[payments.terminal] == Channel.ECOMMERCE
    # Every customer owns two devices, 2c and 2c+1, and prefers the first.
    device = 2 * payments.customer + (rng.random(count) < 0.15)  # noqa: PLR2004
    home = home_country(places.customers[payments.customer])
    abroad = rng.random(count) < 0.01  # noqa: PLR2004
    ip = np.where(abroad, rng.integers(0, len(COUNTRIES), count), home)
    at_shop = rng.choice([EntryMode.CONTACTLESS, EntryMode.CHIP], count, p=[0.7, 0.3])
    at_home = rng.choice([EntryMode.ON_FILE, EntryMode.MANUAL], count, p=[0.6, 0.4])
    return replace(
        payments,
        device=np.where(online, device, NOBODY),
        ip_country=np.where(online, ip, NOBODY),
        entry_mode=np.where(online, at_home, at_shop).astype(np.int64),
    )


def home_country(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the country of a position: the grid is cut into upright bands.

    >>> home_country(np.array([[0.0, 50.0], [99.9, 50.0]])).tolist()
    [0, 5]
    """
    return np.minimum(positions[:, 0] * HOME_COUNT // 100, HOME_COUNT - 1).astype(int)


def retried(rng: np.random.Generator, payments: Payments, share: float) -> Payments:
    """Add second attempts of the same payment, 5 to 60 s later, to a share of rows."""
    again = payments.take(np.flatnonzero(rng.random(len(payments)) < share))
    again = replace(
        again,
        at_ms=again.at_ms + rng.integers(5_000, 60_000, len(again)),
        attempt=again.attempt + 1,
    )
    return joined([payments, again])
