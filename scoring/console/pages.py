"""Templates, and how values are written in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from scoring.core.transaction.codes import CURRENCY_DIGITS

FOLDER = Path(__file__).with_name("templates")
_MS_PER_S = 1_000
_MINUTE_S, _HOUR_S = 60, 3_600


class Pages:
    """Renders templates; whatever is put into one is escaped.

    `tags` are the files that pages load, each with what changes as it does.
    """

    def __init__(self, tags: Mapping[str, str]) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals["asset"] = lambda name: f"/static/{tags[name]}/{name}"
        self._templates.filters |= {
            "time": time_of,
            "amount": amount_of,
            "money": money_of,
            "number": number_of,
            "share": share_of,
            "fine_share": fine_share_of,
            "bps": basis_points_of,
            "age": age_of,
            "part": part_of,
            "word": word_of,
        }

    def rendered(self, template: str, values: Mapping[str, Any]) -> str:
        """A template with values."""
        return self._templates.get_template(template).render(values)


def time_of(ms: float | None) -> str:
    """A time as people read it, UTC.

    >>> time_of(1_700_000_000_000), time_of(None)
    ('2023-11-14 22:13:20', 'never')
    """
    if not ms:
        return "never"
    return datetime.fromtimestamp(ms / _MS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")


def amount_of(minor: int | None, currency: str) -> str:
    """An amount of money as people write it.

    >>> amount_of(123456, "EUR"), amount_of(500, "JPY"), amount_of(None, "EUR")
    ('1,234.56 EUR', '500 JPY', 'unknown')
    """
    if minor is None:
        return "unknown"
    digits = CURRENCY_DIGITS.get(currency, 0)
    return f"{minor / 10**digits:,.{digits}f} {currency}"


def money_of(minor: Mapping[str, int]) -> str:
    """Money in several currencies, which are never added up.

    >>> money_of({"EUR": 123456, "JPY": 500}), money_of({})
    ('1,234.56 EUR, 500 JPY', '–')
    """
    return ", ".join(amount_of(n, currency) for currency, n in minor.items()) or "–"


def number_of(value: float | None) -> str:
    """A number in as many digits as a reader compares.

    >>> number_of(3.0), number_of(0.123456789), number_of(float("nan"))
    ('3', '0.123457', 'unknown')
    """
    if value is None or math.isnan(value):
        return "unknown"
    return f"{value:.6g}"


def share_of(value: float | None) -> str:
    """A share of 1 as a percentage; a dash where there is nothing to share.

    >>> share_of(0.9987), share_of(None)
    ('99.9 %', '–')
    """
    return "–" if value is None else f"{value:.1%}".replace("%", " %")


def fine_share_of(value: float | None) -> str:
    """A share that is small, and compared with limits in hundredths of a percent.

    >>> fine_share_of(0.00512)
    '0.51 %'
    """
    return "–" if value is None else f"{value:.2%}".replace("%", " %")


def basis_points_of(value: float | None) -> str:
    """A share of 1 in basis points; a dash where there is nothing to share.

    >>> basis_points_of(0.00134), basis_points_of(None)
    ('13.4', '–')
    """
    return "–" if value is None else f"{value * 10_000:,.1f}"


def part_of(text: str) -> str:
    """A text as a part of a path.

    >>> part_of("a/b c")
    'a%2Fb%20c'
    """
    return quote(text, safe="")


def word_of(value: str) -> str:
    """A word of the API as people read it.

    >>> word_of("HISTORY_UNAVAILABLE")
    'history unavailable'
    """
    return value.replace("_", " ").lower()


def age_of(s: float) -> str:
    """How long something took or is ago.

    >>> age_of(3.2), age_of(200), age_of(90_000)
    ('3 s', '3 min', '25 h')
    """
    if s < _MINUTE_S * 2:
        return f"{s:.0f} s"
    if s < _HOUR_S * 2:
        return f"{s / _MINUTE_S:.0f} min"
    return f"{s / _HOUR_S:.0f} h"
