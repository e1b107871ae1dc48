"""The bytes and words of the store, once: for Python, for the Lua parts, for the docs.

What is here in capitals the Lua parts name in capitals (`WRAP`, `LABEL_SIZE`,
`MODE_LATE`), and the program is assembled with the values in their places.
docs/store-records.md is written from it. What a release stored the next one reads: a
format that changes is told from the one before, as `RecordLayout` does by its checks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from functools import cached_property
from typing import NamedTuple

from scoring.core.decision.decision import Outcome
from scoring.core.features.slot import Kind, Op

_CODES = re.compile(r"([Iicd])(\d*)")


def bytes_of(codes: str) -> int:
    """How many bytes there are, by their codes in the server's struct library.

    >>> bytes_of("I6i7d"), bytes_of("c32")
    (21, 32)
    """
    return sum(width for _, width in codes_of(codes))


def codes_of(codes: str) -> list[tuple[str, int]]:
    """Each number's or text's kind and bytes.

    >>> codes_of(">I6i7d")
    [('I', 6), ('i', 7), ('d', 8)]
    """
    return [(kind, int(n or 8)) for kind, n in _CODES.findall(codes)]


# Records ---------------------------------------------------------------------


class RecordField(NamedTuple):
    """One field: I, i integers, big end first; d a double; c bytes as they are."""

    name: str
    code: str  # "-": all that follows
    meaning: str


@dataclass(frozen=True)
class RecordFormat:
    """Fields that are one behind the other."""

    fields: tuple[RecordField, ...]

    @classmethod
    def of(cls, text: str) -> RecordFormat:
        """A line a field: its name, its code, and what it means."""
        lines = [line.split(maxsplit=2) for line in text.strip().splitlines()]
        return cls(tuple([RecordField(*line) for line in lines]))

    def __add__(self, other: RecordFormat) -> RecordFormat:
        return RecordFormat((*self.fields, *other.fields))

    @cached_property
    def format(self) -> str:
        """As the server's struct library reads it, without a body."""
        return self.part(*[field.name for field in self.fields])

    @cached_property
    def size(self) -> int:
        """Bytes, without a body."""
        return bytes_of(self.format)

    def part(self, *names: str) -> str:
        """The format of some fields that follow each other."""
        return ">" + "".join(f.code.strip("-") for f in self.fields if f.name in names)

    def at(self, name: str) -> int:
        """Where a field begins, counted from 1, as Lua does."""
        names = [field.name for field in self.fields]
        return 1 + bytes_of(self.part(*names[: names.index(name)]))

    def pack(self, *values: int) -> bytes:
        """The bytes of whole numbers.

        >>> VERDICT.pack(3, 1)
        b'\\x00\\x00\\x00\\x03\\x01'
        """
        given = zip(self.fields, values, strict=True)
        return b"".join([v.to_bytes(bytes_of(field.code)) for field, v in given])


ORDER = RecordFormat.of("""
    time         I6   when the transaction occurred, ms since 1970
    id_high      I4   of its id's SHA-256 the first 4 bytes
    id_low       I4   and the next 4; both 0: one record for all that were cut off
""")
EVENT = ORDER + RecordFormat.of("""
    count        I4   running count of events, wraps at 2^32
""")
PART = RecordFormat.of("""
    sightings    I2   how many follow
    lost         I6   when the newest was seen that went for want of room, or 0
""")
SIGHTING = RecordFormat.of("""
    counterpart  I6   of its token's hash 48 bits
    time         I6   when it was last seen, ms since 1970
""")
LABELS_HEAD = RecordFormat.of("""
    lost         I6   the time of the newest label that went, or 0
""")
LABEL_REST = RecordFormat.of("""
    version      I4   the label's
    known_at     I6   when it became known, ms since 1970
    bits         I2   1: fraud; 2, 4, 8 …: columns that count it; 32768: parked
""")
LABEL_BODY = ORDER + LABEL_REST
DIGEST = RecordFormat.of("""
    digest       c4   of the SHA-1 of what it ends the first 4 hex digits
""")
LABEL = LABEL_BODY + DIGEST
VERDICT = RecordFormat.of("""
    version      I4   the label's; versions ascend, each occurs once
    verdict      I1   1: fraud; 2: legitimate; 3: withdrawn
""")
NOTE = RecordFormat.of("""
    said         c8   of what a repeat says again the first 8 bytes of its SHA-256
    state        c1   R; of an earlier release also L
    message      -    the Label or LifecycleEvent, without its transaction
""")
CLAIM = RecordFormat.of("""
    kind         c1   how far the transaction has come
    hash         c32  of the payload
    body         -    nothing, what was observed, or the recorded decision
""")
# What a cluster's call `count` is given of one transaction; never stored.
TOLD = (
    RecordFormat.of("""
    mode         c1   a `Mode`
    plan         c1   the entity's number
    outcome      I1   of a recorded decision, or 0
""")
    + ORDER
)
CHECK = ">I3"  # ends an event's record: the sum that `lua_check` writes out

# Numbers alone, and texts: their formats and bytes.
TIME, ID = ORDER.part("time"), ORDER.part("id_high", "id_low")
COUNT, COUNTERPART = EVENT.part("count"), SIGHTING.part("counterpart")
SLOT = "I2"  # of an inexact slot its number among all that are replied
TIME_SIZE, CHECK_SIZE, DIGEST_SIZE = bytes_of(TIME), bytes_of(CHECK), DIGEST.size
# Where the head's numbers are in an unpacked record.
TIME_PLACE, ID_HIGH_PLACE, ID_LOW_PLACE, COUNT_PLACE = range(1, 5)

# Columns ---------------------------------------------------------------------


class ColumnKind(StrEnum):
    """How the program carries a column from record to record."""

    ADD = "add"
    SUM = "sum"
    MAX = "max"
    HASH = "hash"
    LAST = "last"
    FIRST = "first"
    NORMAL = "normal"  # by its group
    ALL = "all"  # the record's own count


class Stored(NamedTuple):
    """How a column's numbers are behind an event's head."""

    carried: ColumnKind
    code: str
    meaning: str


# A sum has two limbs, of 32 and 48 bits: over a hundred times what 10^9 payments of the
# largest amount come to. In an earlier release it had one.
TWO_LIMBS, ONE_LIMB = "I4I6", "i7"
REAL = "d"
_ADD, _NORMAL = ColumnKind.ADD, ColumnKind.NORMAL
COLUMNS = {
    Kind.COUNT: Stored(_ADD, "I4", "running count of what passes a filter"),
    Kind.SUM: Stored(ColumnKind.SUM, TWO_LIMBS, "running sum, in two limbs"),
    Kind.MAX: Stored(ColumnKind.MAX, "i7I2", "value; records back to a larger one"),
    Kind.COUNTERPART: Stored(ColumnKind.HASH, "I6", "48 bits of a token's hash, or 0"),
    Kind.LAST: Stored(ColumnKind.LAST, "I6", "the last known value"),
    Kind.FIRST: Stored(ColumnKind.FIRST, "I6", "when the entity's history began"),
    Kind.NORMAL_COUNT: Stored(
        _NORMAL, "i4", "own normal: events; < 0: not quite known"
    ),
    Kind.NORMAL_SUM: Stored(_NORMAL, TWO_LIMBS, "own normal: sum of the amounts"),
    Kind.NORMAL_HIGH: Stored(_NORMAL, TWO_LIMBS, "of their squares the upper limbs"),
    Kind.NORMAL_LOW: Stored(_NORMAL, TWO_LIMBS, "of their squares the lower limbs"),
    Kind.UNUSUAL: Stored(_NORMAL, "I4", "running count far above the own normal"),
}

# Numbers ---------------------------------------------------------------------

# Running counts and the upper limb of a running sum wrap here, and its lower limb has
# 48 bits: what two records differ by is right all the same.
WRAP, LIMB = 1 << 32, 1 << 48
# A square is added in two limbs of 40 bits, from halves of the amount of 22 bits.
SQUARE_LIMB, HALF = 1 << 40, 1 << 22
HALF_CARRY = SQUARE_LIMB // (2 * HALF)
FRACTION = 1 << 53  # a limb of a real's fraction
# The sum over a record is of its numbers' remainders, each weighed by its place.
CHECK_START, CHECK_PRIME, CHECK_MODULUS = 7, 65_521, 1 << 24
LABEL_FRAUD, LABEL_PARKED = 1, 1 << 15  # bits; parked: its transaction is not counted
LABEL_COLUMNS_MAX = 14  # a bit each, between those two
LABELS_MAX = 384  # of one entity
NOTES_MAX = 256  # of one payment, labels and lifecycle events together
VERDICTS_MAX = 64  # of one payment; the lowest versions go first

# Words -----------------------------------------------------------------------

# What is in place of the number of transactions processed, and what is answered.
MARK_LOST, MARK_REBUILDING = "lost", "rebuilding"
ERROR_LOST, ERROR_REBUILDING = "REBUILD", "REBUILDING"


class Mode(bytes, Enum):
    """What a call is to do with a transaction, and what it did."""

    COUNT = b"N"  # and counted
    LATE = b"L"  # too late to be counted
    DRY_RUN = b"D"  # look, change nothing
    UNSEEN = b"A"  # count; of a decision that is recorded nobody asks what is seen
    REPEATED = b"R"
    CONFLICT = b"X"  # the id is claimed by another payload
    OPEN = b"O"  # in a cluster: claimed, and to be counted


class Claim(bytes, Enum):
    """How far the transaction of a claim has come."""

    OPEN = b"O"  # claimed, not yet observed
    OBSERVED = b"C"  # the body is what was seen, in MessagePack
    DECIDED = b"D"  # and observed; the body is the recorded decision
    UNOBSERVED = b"P"  # decided, still to be observed


# In place of `UNOBSERVED` an outcome's digit: it is to be counted as well.
_OUTCOMES = "".join(str(int(outcome)) for outcome in Outcome if outcome)
CLAIM_KINDS = b"".join(Claim).decode() + _OUTCOMES
DECIDED_KINDS = f"{Claim.DECIDED.decode()}{Claim.UNOBSERVED.decode()}{_OUTCOMES}"


class RecordReply(IntEnum):
    """Whose decision is recorded, as `record` answers."""

    OURS = 1
    OTHER = 0
    CONFLICT = -1  # of another payload


# Keys of an entity's history end with these.
EVENTS_KEY, SEEN_KEY, LABELS_KEY = "e", "s", "l"
COUNTED_KEY = "c"  # in a cluster: events of which their payment does not yet know
# Names of a payment's follow-ups begin with these; a version or an event's id follows.
NOTE_LABEL, NOTE_EVENT = b"l", b"e"
NOTE_REPORTED = b"R"

WORDS: dict[str, type[Enum]] = {
    "MODE": Mode, "CLAIM": Claim, "RECORDED": RecordReply, "KIND": ColumnKind, "OP": Op,
}  # fmt: skip


def names() -> dict[str, int | str]:
    """Everything that a Lua part may name, with its value.

    >>> names()["LABEL_SIZE"], names()["LABEL_BITS_AT"], names()["MODE_LATE"]
    (30, 25, 'L')
    """
    found: dict[str, int | str] = {}
    for name, value in globals().items():
        if not name.isupper() or name[0] == "_":
            continue
        if isinstance(value, RecordFormat):
            found |= {f"{name}_FORMAT": value.format, f"{name}_SIZE": value.size}
            for field in value.fields:
                found[f"{name}_{field.name.upper()}_AT"] = value.at(field.name)
        elif isinstance(value, int | str):
            found[name] = value
    for stem, words in WORDS.items():
        for word in words:
            value = word.value
            text = value.decode() if isinstance(value, bytes) else value
            found[f"{stem}_{word.name}"] = text
    return found
