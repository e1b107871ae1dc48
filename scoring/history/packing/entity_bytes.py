"""An entity's stored history from all of its events at once, in columns.

What the store's program builds event by event is built here for many entities in one
pass over arrays, from the same compiled table: its formats, places and kinds. It is
trusted once the program itself has made the same bytes of a sample (`install.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.stores.redis.formats import (
    CHECK_MODULUS,
    CHECK_PRIME,
    CHECK_START,
    DIGEST_SIZE,
    EVENT,
    FRACTION,
    HALF,
    HALF_CARRY,
    LIMB,
    PART,
    SIGHTING,
    SQUARE_LIMB,
    WRAP,
    ColumnKind,
    codes_of,
)

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Events:
    """Events of many entities, sorted by entity, time and the order of processing.

    `entity` (n,) ascending numbers; `at_ms` and the id's hash in `hi` and `lo`; `n` the
    place in processing order; `fresh` where a history begins anew; `inputs` the columns
    of the plan, NaN where the event has none.
    """

    entity: Integers
    at_ms: Integers
    hi: Integers
    lo: Integers
    n: Integers
    fresh: NDArray[np.bool_]
    inputs: list[Reals]

    @property
    def starts(self) -> Integers:
        """Where each entity begins."""
        changes: Integers = np.flatnonzero(np.diff(self.entity, prepend=-1))
        return changes

    @property
    def first(self) -> Integers:
        """For each event, where its entity begins."""
        starts = self.starts
        counts = np.diff(starts, append=len(self.entity))
        return np.repeat(starts, counts)


def records(table: Mapping[str, Any], events: Events) -> list[bytes]:
    """Each entity's log of events, as the program packs it."""
    text, size = sealed(table, _numbers(table, events)), table["size"]
    starts = events.starts
    ends = np.append(starts[1:], len(events.entity))
    return [text[a * size : b * size] for a, b in zip(starts, ends, strict=True)]


def sealed(table: Mapping[str, Any], numbers: list[Reals]) -> bytes:
    """Records with these numbers, in the order of their places, and their checks."""
    checked = [*numbers, _check(table, numbers)]
    return _packed(table["format"], table["size"], checked).tobytes()


def _numbers(table: Mapping[str, Any], events: Events) -> list[Reals]:
    """The numbers of every record, in the order of their places."""
    place = np.arange(len(events.entity)) - events.first
    numbers: list[Any] = [np.zeros(0)] * table["width"]
    numbers[: len(EVENT.fields)] = [events.at_ms, events.hi, events.lo, place + 1]
    session = np.maximum.accumulate(
        np.where(events.fresh, np.arange(len(events.entity)), 0)
    )
    for column, x in zip(table["columns"], events.inputs, strict=True):
        at, kind = column["at"] - 1, column["kind"]
        if kind == ColumnKind.ADD:
            numbers[at] = _running(x, events.first)
        elif kind == ColumnKind.SUM:
            numbers[at], numbers[at + 1] = _limbs(_running(x, events.first))
        elif kind == ColumnKind.MAX:
            value = np.where(np.isnan(x), column["none"], x)
            numbers[at], numbers[at + 1] = value, _links(value, place)
        elif kind == ColumnKind.HASH:
            numbers[at] = np.where(np.isnan(x), 0, x)
        elif kind == ColumnKind.LAST:
            numbers[at] = _carried(x, session, column["none"])
        elif kind == ColumnKind.FIRST:
            numbers[at] = events.at_ms[session]
    for normal in table["normals"]:
        _fold(normal, events, session, numbers)
    return [np.asarray(number, dtype=np.float64) for number in numbers]


def _running(x: Reals, first: Integers) -> Integers:
    """Sums up to each event since its entity's first, exact.

    >>> _running(np.array([1.0, np.nan, 5.0]), np.array([0, 0, 2])).tolist()
    [1, 1, 5]
    """
    whole = np.where(np.isnan(x), 0, x).astype(np.int64)
    total = np.cumsum(whole)  # wraps, and the difference is right all the same
    return total - (total - whole)[first]


def _limbs(total: Integers) -> tuple[Integers, Integers]:
    """A sum in the two limbs of a record.

    >>> [int(limb[0]) for limb in _limbs(np.array([3 * 2**48 + 7]))]
    [3, 7]
    """
    return total // LIMB % WRAP, total % LIMB


def _links(value: Reals, place: Integers) -> Integers:
    """How many events back the nearest larger one is, 0 for none.

    >>> _links(np.array([3.0, 1.0, 2.0, 9.0]), np.array([0, 1, 2, 0])).tolist()
    [0, 1, 2, 0]
    """
    back: list[int] = []
    stack: list[tuple[float, int]] = []
    for v, b in zip(value.tolist(), place.tolist(), strict=True):
        if b == 0:
            stack.clear()
        while stack and stack[-1][0] <= v:
            stack.pop()
        back.append(b - stack[-1][1] if stack else 0)
        stack.append((v, b))
    return np.array(back, dtype=np.int64)


def _carried(x: Reals, session: Integers, none: float) -> Reals:
    """The last known value since the session began."""
    known = np.maximum.accumulate(
        np.where(np.isnan(x), -1, np.arange(len(x))), dtype=np.int64
    )
    return np.where(known >= session, x[known], none)


def _fold(
    normal: Mapping[str, Any], events: Events, session: Integers, numbers: list[Any]
) -> None:
    """The own normal: what is far above the mean so far is counted, not taken in."""
    x = events.inputs[normal["input"] - 1]
    unusual = np.array(
        _unusual(x.tolist(), events.fresh.tolist(), normal["trim"]), dtype=np.bool_
    )
    taken = np.where(unusual | np.isnan(x), 0, x).astype(np.int64)
    high, low = _square(taken)
    counted = (~unusual & ~np.isnan(x)).astype(np.float64)
    numbers[normal["n"] - 1] = _running(counted, session)
    for key, part in {"s": taken, "h": high, "l": low}.items():
        at = normal[key] - 1
        total = _running(part.astype(np.float64), session)
        numbers[at], numbers[at + 1] = _limbs(total)
    if "u" in normal:
        numbers[normal["u"] - 1] = _running(unusual.astype(np.float64), events.first)


def _unusual(amounts: list[float], fresh: list[bool], trim: float) -> list[bool]:
    marks: list[bool] = []
    count, total = 0, 0.0
    for amount, begins in zip(amounts, fresh, strict=True):
        if begins:
            count, total = 0, 0.0
        if amount != amount:  # noqa: PLR0124 - NaN, the event has no amount
            marks.append(False)
            continue
        unusual = count > 0 and amount * count > trim * total
        marks.append(unusual)
        if not unusual:
            count, total = count + 1, total + amount
    return marks


def _square(v: Integers) -> tuple[Integers, Integers]:
    """Squares in two limbs, from halves that do not overflow.

    >>> high, low = _square(np.array([10**13]))
    >>> (int(high[0]) << 40) + int(low[0]) == 10**26
    True
    """
    a, d = np.abs(v) // HALF, np.abs(v) % HALF
    cross = a * d  # v^2 = a^2 2^44 + a d 2^23 + d^2
    rest = cross % HALF_CARRY * (2 * HALF) + d * d
    high = (
        a * a * (HALF * HALF // SQUARE_LIMB) + cross // HALF_CARRY + rest // SQUARE_LIMB
    )
    return high, rest % SQUARE_LIMB


def _remainder(value: Reals, divisor: float) -> Reals:
    """What Lua's % gives, rounding included."""
    rest: Reals = value - np.floor(value / divisor) * divisor
    return rest


def _check(table: Mapping[str, Any], numbers: list[Reals]) -> Reals:
    """The weighted sum that ends every record."""
    total = np.full(len(numbers[0]), float(CHECK_START))
    for i, number in enumerate(numbers, 1):
        total += _remainder(np.floor(number), CHECK_PRIME) * (2 * i + 1)
    for i in table["reals"]:
        high = _remainder(numbers[i - 1], 1.0) * float(FRACTION)
        low = _remainder(high, 1.0) * float(FRACTION)
        total += _remainder(np.floor(high), CHECK_PRIME) * (2 * (i + 1) + 1)
        total += _remainder(low, CHECK_PRIME) * (2 * (i + 2) + 1)
    check: Reals = np.floor(total) % CHECK_MODULUS
    return check


def _packed(format_: str, size: int, numbers: list[Reals]) -> NDArray[np.uint8]:
    rows = np.empty((len(numbers[0]), size), dtype=np.uint8)
    at = 0
    for (kind, count), number in zip(codes_of(format_), numbers, strict=True):
        whole = number if kind == "d" else number.astype(np.int64)
        order = ">f8" if kind == "d" else ">i8"
        octets = whole.astype(order).view(np.uint8).reshape(-1, 8)
        rows[:, at : at + count] = octets[:, 8 - count :]
        at += count
    assert at == size
    return rows


def sightings(table: Mapping[str, Any], events: Events) -> tuple[list[bytes], Integers]:
    """Each entity's counterparts by when they were last seen, as the program packs
    them; and the most that any of its columns has ever met.
    """
    count = len(events.starts)
    number = np.repeat(np.arange(count), np.diff(events.starts, append=len(events.n)))
    most = np.zeros(count, dtype=np.int64)
    parts = []
    for column in table["hashes"]:
        part, met = _part(events, number, events.inputs[column - 1], table["keep"])
        parts.append(list(part))
        most = np.maximum(most, np.bincount(met, minlength=count))
    return [_sealed(own) for own in zip(*parts, strict=True)], most


def _sealed(parts: tuple[bytes, ...]) -> bytes:
    body = b"".join(parts)
    return body + sha1(body).hexdigest()[:DIGEST_SIZE].encode()  # noqa: S324 - as the program


def _part(
    events: Events, number: Integers, hashes: Reals, keep_ms: int
) -> tuple[Iterator[bytes], Integers]:
    """One column's part of every entity, and the entity of each counterpart met."""
    known = np.flatnonzero(~np.isnan(hashes))
    who, what = number[known], hashes[known].astype(np.int64)
    at_ms, n = events.at_ms[known], events.n[known]
    order = np.lexsort((what, who))  # those of one counterpart stay in order of time
    who, what, at_ms, n = who[order], what[order], at_ms[order], n[order]
    # The first event of the last instant at which each counterpart was seen.
    begins = np.flatnonzero(
        (np.diff(who, prepend=-1) != 0)
        | (np.diff(what, prepend=-1) != 0)
        | (np.diff(at_ms, prepend=-1) != 0)
    )
    who, what, at_ms = who[begins], what[begins], at_ms[begins]
    n = np.minimum.reduceat(n, begins)
    last = (np.diff(who, append=-1) != 0) | (np.diff(what, append=-1) != 0)
    who, what, at_ms, n = who[last], what[last], at_ms[last], n[last]
    met = who
    newest = np.zeros(len(events.starts), dtype=np.int64)
    np.maximum.at(newest, who, at_ms)
    stays = at_ms > newest[who] - keep_ms
    who, what, at_ms, n = who[stays], what[stays], at_ms[stays], n[stays]
    order = np.lexsort((n, at_ms, who))
    seen = [what[order].astype(np.float64), at_ms[order].astype(np.float64)]
    entries = _packed(SIGHTING.format, SIGHTING.size, seen)
    counts = np.bincount(who, minlength=len(events.starts))
    return _cut(entries.tobytes(), counts.tolist()), met


def _cut(text: bytes, counts: list[int]) -> Iterator[bytes]:
    at = 0
    for count in counts:
        ends = at + SIGHTING.size * count
        yield PART.pack(count, 0) + text[at:ends]
        at = ends
