"""The closed sets of codes: currencies and their minor units, countries, categories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from iso3166 import (
    countries_by_alpha2,
    countries_by_alpha3,
    countries_by_apolitical_name,
)
from iso4217 import Currency

# Active ISO 4217 codes and the decimal digits of their minor unit. Those without one
# (gold, test codes, drawing rights) are no money that a payment can be made in.
CURRENCY_DIGITS: Mapping[str, int] = {
    currency.code: currency.exponent
    for currency in Currency
    if currency.exponent is not None
}
_CATEGORY_DIGITS = 4
_ECI_DIGITS = 2
_RESPONSE_CHARACTERS = (2, 4)  # ISO 8583:1987, and of 2003


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A closed set: what its members are, and what people write who mean one.

    `what` follows "must be"; `meant` maps other spellings, in capitals, to members.
    """

    what: str
    holds: Callable[[str], bool]
    members: tuple[str, ...] = ()
    meant: Mapping[str, str] = field(default_factory=dict)

    def refusal(self, value: str) -> str:
        """Why a value is never in the set, with the nearest that is; "" for members.

        >>> COUNTRIES.refusal("DE")
        ''
        >>> COUNTRIES.refusal("UK")
        "must be an ISO 3166-1 alpha-2 country code such as DE; did you mean 'GB'?"
        """
        if self.holds(value):
            return ""
        near = self._nearest(value)
        return f"must be {self.what}" + (f"; did you mean {near!r}?" if near else "")

    def _nearest(self, value: str) -> str:
        word = value.strip().upper()
        if self.holds(word):
            return word
        if word in self.meant:
            return self.meant[word]
        swapped = [m for m in self.members if sorted(m) == sorted(word)]
        close = swapped or get_close_matches(word, self.members, n=1)
        return close[0] if close else ""


def named(names: Iterable[str]) -> CodeSet:
    """The set of an enumeration's names.

    >>> named(["ATM", "ECOMMERCE"]).refusal("ecommerce")
    "must be one of ATM, ECOMMERCE; did you mean 'ECOMMERCE'?"
    """
    members = tuple(names)
    return CodeSet(
        f"one of {', '.join(members)}", frozenset(members).__contains__, members
    )


def _is_category(value: str) -> bool:
    return len(value) == _CATEGORY_DIGITS and value.isascii() and value.isdecimal()


def _is_eci(value: str) -> bool:
    return len(value) == _ECI_DIGITS and value.isascii() and value.isdecimal()


def _is_response_code(value: str) -> bool:
    least, most = _RESPONSE_CHARACTERS
    known = value.isascii() and value.isalnum() and value == value.upper()
    return known and least <= len(value) <= most


CURRENCIES = CodeSet(
    "an active ISO 4217 currency code such as EUR",
    CURRENCY_DIGITS.__contains__,
    tuple(CURRENCY_DIGITS),
    {currency.currency_name.upper(): currency.code for currency in Currency},
)
COUNTRIES = CodeSet(
    "an ISO 3166-1 alpha-2 country code such as DE",
    frozenset(countries_by_alpha2).__contains__,
    (),
    {
        **{n: country.alpha2 for n, country in countries_by_apolitical_name.items()},
        **{code: country.alpha2 for code, country in countries_by_alpha3.items()},
        "UK": "GB",
        "UNITED KINGDOM": "GB",
        "USA": "US",
        "UNITED STATES": "US",
    },
)
CATEGORIES = CodeSet(
    "a merchant category of four digits such as 5411",
    _is_category,
    (),
    {str(n): f"{n:04}" for n in range(1_000)},
)
ECIS = CodeSet(
    "an electronic commerce indicator of two digits such as 05",
    _is_eci,
    (),
    {str(n): f"{n:02}" for n in range(10)},
)
RESPONSE_CODES = CodeSet(
    "a response code of ISO 8583 field 39 such as 05", _is_response_code
)
