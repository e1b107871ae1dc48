"""When payments occurred: which column says it, and what only a person can know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scoring.tables.column_names import ZONE_NAMES, spellings
from scoring.tables.guess import Guess, Values
from scoring.tables.values import Times, only_days, time_of, zone_of

# Apart in TabFormer's table: the day of a time.
_TIME_PARTS = ("Year", "Month", "Day", "Time")


def find_time(
    guess: Guess, columns: Sequence[str], sample: Mapping[str, Sequence[str]]
) -> None:
    """Find the column, or columns, of the time where no name told it."""
    if set(_TIME_PARTS) <= set(columns):
        guess.columns["occurred_at"] = list(_TIME_PARTS)
        guess.extra["time"] = {"format": "%Y %m %d %H:%M"}
        return
    if "occurred_at" in guess.columns:
        return
    times = [
        column
        for column in columns
        if sample.get(column)
        and (found := time_of(sample[column]))
        and not found.counter
    ]
    if len(times) == 1:
        guess.columns["occurred_at"] = times[0]
        guess.remarks.append("occurred_at: the only column that is a time")


def judge_time(
    guess: Guess, sample: Mapping[str, Sequence[str]], every: Values
) -> None:
    """Say how the column writes times, or ask where two readings fit."""
    column = guess.column("occurred_at")
    texts = sample.get(column, ())
    if not texts:
        if "occurred_at" in guess.columns:
            guess.remarks.append("occurred_at: times without a zone are read as UTC")
        return
    found = time_of(texts)
    if found and len(found.formats) > 1:
        found = _told_apart(found, every(column))
    if found is None:
        return
    _say_how(guess, column, found)
    if only_days(texts):
        guess.remarks.append(
            f"occurred_at: {column!r} has days without a time of day: all payments of "
            "a day are at its midnight; join a column with the time, as in "
            "occurred_at: [day, time]"
        )
    if not (found.zoned or found.unit or found.counter):
        _take_zone(guess, sample)


def _say_how(guess: Guess, column: str, found: Times) -> None:
    """Say how times are read, or ask."""
    if found.counter:
        guess.ask(
            f"occurred_at: {column!r} counts from a start that the table does not "
            "tell; say it in the mapping, as in time: {origin: 2017-12-01, unit: s} "
            "(or unit: m, h, d)"
        )
    elif len(found.formats) > 1:
        choices = " or ".join(f'"{form}"' for form in found.formats)
        guess.ask(
            f"occurred_at: {column!r} does not tell days from months; say which, as "
            f"in time: {{format: {choices}}}"
        )
    elif found.formats:
        guess.extra["time"] = {"format": found.formats[0]}
        guess.remarks.append(f"occurred_at: every value fits {found.formats[0]} only")
    elif found.unit:
        guess.extra["time"] = {"unit": found.unit}
        guess.remarks.append(f"occurred_at: read as {found.unit} since 1970")


def _take_zone(guess: Guess, sample: Mapping[str, Sequence[str]]) -> None:
    """The zone that a column of its own names, or else UTC."""
    named = [c for c in sample if ZONE_NAMES & set(spellings(c)) and sample[c]]
    if not named:
        guess.remarks.append("occurred_at: times without a zone are read as UTC")
        return
    zone = zone_of(sample[named[0]])
    if zone:
        guess.extra.setdefault("time", {})["zone"] = zone
        guess.remarks.append(
            f"occurred_at: times are read in {zone}, as {named[0]!r} says"
        )
    else:
        guess.ask(
            f"occurred_at: {named[0]!r} does not name one zone for all rows; write "
            "times with their offsets, or say time: {zone: Europe/Berlin}"
        )


def _told_apart(found: Times, values: Iterator[str]) -> Times:
    """Look at all values where the first ones do not tell the day from the month."""
    return time_of(list(dict.fromkeys(values)), found.formats) or found
