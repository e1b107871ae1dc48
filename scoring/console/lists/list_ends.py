"""Until when a token is on a list: what people say, as an instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_MINUTES = len("2026-12-04T18:00")
_MS_PER_S = 1_000
_FRIDAY = 4


def ends_from(now_ms: int) -> list[tuple[str, str]]:
    """Usual ends: the instant as a form sends it, and what people read.

    A day ends at its midnight, UTC: "until Friday" holds all of Friday.

    >>> for end in ends_from(1_796_049_000_000): print(end)  # a Monday, 11:30
    ('', 'for ever')
    ('2026-12-01T14:30', 'for 24 hours, until 2026-12-01 14:30')
    ('2026-12-05T00:00', 'until Friday, all of 2026-12-04')
    ('2026-12-30T14:30', 'for 30 days, until 2026-12-30 14:30')
    """
    now = datetime.fromtimestamp(now_ms / _MS_PER_S, UTC)
    day, month = now + timedelta(days=1), now + timedelta(days=30)
    # On a Friday the next one is meant: this one is said "for 24 hours".
    friday = now.date() + timedelta(days=(_FRIDAY - now.weekday() - 1) % 7 + 1)
    after = f"{friday + timedelta(days=1)}T00:00"
    return [
        ("", "for ever"),
        (f"{day:%Y-%m-%dT%H:%M}", f"for 24 hours, until {day:%Y-%m-%d %H:%M}"),
        (after, f"until Friday, all of {friday}"),
        (f"{month:%Y-%m-%dT%H:%M}", f"for 30 days, until {month:%Y-%m-%d %H:%M}"),
    ]


def end_in(form: Mapping[str, str]) -> str:
    """The end that a form says: an instant of its own before one of the usual.

    >>> end_in({"until": "2026-12-05T00:00", "expires": ""})
    '2026-12-05T00:00:00Z'
    >>> end_in({"until": "2026-12-05T00:00", "expires": "2026-12-04T18:00"}), end_in({})
    ('2026-12-04T18:00:00Z', '')
    """
    return instant_of(form.get("expires", "") or form.get("until", ""))


def instant_of(written: str) -> str:
    """An instant as the API takes it: a browser's field of date and time has no zone.

    >>> instant_of("2026-12-04T18:00"), instant_of("")
    ('2026-12-04T18:00:00Z', '')
    """
    written = written.strip()
    return f"{written}:00Z" if len(written) == _MINUTES else written


def iso_of(ms: int) -> str:
    """An instant as the API takes it.

    >>> iso_of(1_796_407_200_500)
    '2026-12-04T18:00:00.500Z'
    """
    at = datetime.fromtimestamp(ms / _MS_PER_S, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
