"""When a payment can have been: the years of event times, and what an odd one is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scoring.errors import InvalidTransaction

# 2000-01-01: an earlier time is of another unit (seconds read as milliseconds).
OCCURRED_AT_MS_MIN = 946_684_800_000
OCCURRED_AT_MS_MAX = 4_102_444_800_000  # 2100-01-01

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
# By what a time is wrong where its unit was mistaken: above, below. The years span
# a factor of 4.3, so at most one of them brings a time back into them.
_MISTAKEN = (
    (1_000, 1, "seconds read as milliseconds"),
    (1_000_000, 1, "seconds read as microseconds"),
    (1, 1_000, "milliseconds read as seconds"),
    (1, 1_000_000, "microseconds read as seconds"),
    (1, 1_000_000_000, "nanoseconds read as seconds"),
)


def implausible(at_ms: int) -> str:
    """Why a payment cannot have been at a time, and the unit that would fit; else "".

    >>> implausible(1_772_366_400)
    'is 1970-01-21, not between 2000 and 2100: these look like seconds read as \
milliseconds'
    >>> implausible(0), implausible(1_772_366_400_000)
    ('is required and must lie between the years 2000 and 2100', '')
    """
    if OCCURRED_AT_MS_MIN <= at_ms <= OCCURRED_AT_MS_MAX:
        return ""
    if at_ms == 0:
        return "is required and must lie between the years 2000 and 2100"
    for times, by, mistaken in _MISTAKEN:
        if OCCURRED_AT_MS_MIN <= at_ms * times // by <= OCCURRED_AT_MS_MAX:
            likely = f": these look like {mistaken}"
            break
    else:
        likely = ""
    return f"is {_day_of(at_ms)}, not between 2000 and 2100{likely}"


def refuse_future(field: str, at_ms: int, *, received_at_ms: int, skew_ms: int) -> None:
    """Raise `InvalidTransaction` for a time more than `skew_ms` after its receipt.

    >>> refuse_future("occurred_at", 5, received_at_ms=3, skew_ms=2)
    """
    if at_ms > received_at_ms + skew_ms:
        told = f"lies more than {skew_ms} ms after its receipt; send UTC"
        raise InvalidTransaction(field, told)


def _day_of(at_ms: int) -> str:
    """The day of a time, or that no calendar has it.

    >>> _day_of(0), _day_of(10**18)
    ('1970-01-01', 'in no year that we can write')
    """
    try:
        return f"{_1970 + timedelta(milliseconds=at_ms):%Y-%m-%d}"
    except OverflowError:
        return "in no year that we can write"
