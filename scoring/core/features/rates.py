"""Exchange rates by day, and what a payment is worth by them.

The time of the payment chooses the day, whenever it is decided.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from operator import itemgetter

RATE_DECIMALS = 12  # of a rate between minor units: the weakest keep seven figures
RATE_SCALE = 10**RATE_DECIMALS
_VERSION_CHARACTERS = 16
ALWAYS_MS = -(2**62)  # before every payment

Row = tuple[int, str, int]  # valid from (ms), currency, rate between minor units


@dataclass(frozen=True, slots=True)
class Dated:
    """One currency's rates: the newest, which most payments need, and all of them.

    `starts` ascend; `rates` are in 1e-12 of a reference minor unit.
    """

    newest_ms: int
    newest: int
    starts: tuple[int, ...]
    rates: tuple[int, ...]

    def at(self, at_ms: int) -> int | None:
        """The rate of an instant; None before the first."""
        place = bisect_right(self.starts, at_ms)
        return self.rates[place - 1] if place else None


@dataclass(frozen=True, slots=True)
class Rates:
    """All rates to one reference currency; immutable.

    `starts` are the instants at which any rate changes; `versions` has one more: of
    what was effective before the first of them, and from each of them on.
    """

    reference: str
    by_currency: Mapping[str, Dated]
    starts: tuple[int, ...]
    versions: tuple[str, ...]

    @classmethod
    def from_rows(cls, reference: str, rows: Sequence[Row]) -> Rates:
        """Rates of checked rows, in any order."""
        always = Dated(ALWAYS_MS, RATE_SCALE, (ALWAYS_MS,), (RATE_SCALE,))
        by_currency = {reference: always}
        for code, own in groupby(sorted(rows, key=itemgetter(1, 0)), itemgetter(1)):
            starts, _, rates = zip(*own, strict=True)
            by_currency[code] = Dated(starts[-1], rates[-1], starts, rates)
        return cls(reference, by_currency, *_versions(reference, rows))

    @property
    def version(self) -> str:
        """The content hash of all rows."""
        return self.versions[-1]

    def version_at(self, at_ms: int) -> str:
        """The content hash of the rows effective by an instant.

        A row for a later day leaves it as it was: two files agree on it exactly where
        they convert every payment until then alike.
        """
        if not self.starts or at_ms >= self.starts[-1]:
            return self.versions[-1]
        return self.versions[bisect_right(self.starts, at_ms)]


@dataclass(slots=True, eq=False)
class RatesInForce:
    """The rates in force, which all that convert share: swapped as one reference."""

    rates: Rates


def no_rates(reference: str) -> Rates:
    """Of the reference currency alone; an amount in any other is unknown.

    >>> list(no_rates("EUR").by_currency)
    ['EUR']
    """
    return Rates.from_rows(reference, [])


def _versions(
    reference: str, rows: Sequence[Row]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The days on which a rate changes, and the hash of all rows up to each."""
    digest = sha256(reference.encode())
    starts, versions = [], [digest.hexdigest()[:_VERSION_CHARACTERS]]
    for start_ms, own in groupby(sorted(rows), itemgetter(0)):
        for _, currency, rate in own:
            digest.update(f"\n{start_ms},{currency},{rate}".encode())
        starts.append(start_ms)
        versions.append(digest.copy().hexdigest()[:_VERSION_CHARACTERS])
    return tuple(starts), tuple(versions)
