"""Managed lists: their names and fields, and what may stand on one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from pydantic import TypeAdapter, ValidationError

from scoring.core.policy.lists import ListField, ms_of
from scoring.core.release.list_release import FOREVER_MS
from scoring.core.transaction.card_number import holds_card_number
from scoring.core.transaction.event_time import OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN
from scoring.core.transaction.transaction import TEXT_CHARACTERS_MAX, never
from scoring.errors import (
    CardNumberRefused,
    ChangedMeanwhile,
    InvalidTransaction,
    NotPossible,
)

REASON_CHARACTERS_MAX = 200
SOURCE_CHARACTERS_MAX = 100
ABOUT_CHARACTERS_MAX = 500
ENTRIES_MAX = 20_000_000  # of one list: 320 MB mapped
# So many changed entries make a new base: a process keeps them in a dict meanwhile.
CHANGED_MAX = 10_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FIELD: TypeAdapter[str] = TypeAdapter(ListField)
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANTS_KEPT = 10_000  # a file seldom has more expiries


class ListKind(StrEnum):
    """What people mean a list for; what it does, the policy that names it says."""

    BLOCK = "block"
    ALLOW = "allow"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptList:
    """A list without its entries; `revision` is of its last change.

    `field` is the field of a transaction whose values are its tokens. `chunks` are its
    base in the topic; `changed` entries came after it.
    """

    name: str
    kind: ListKind
    field: str
    about: str = ""
    revision: int = 0
    count: int = 0
    chunks: tuple[str, ...] = ()
    changed: int = 0
    by: str = ""
    created_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A token to be listed until an event time, ms, and why."""

    token: str
    until_ms: int = FOREVER_MS
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEntry:
    """A token on a list: until when (event time, ms), why, by whom and from where."""

    token: str
    until_ms: int
    reason: str
    author: str
    source: str
    added_at_ms: int

    def as_line(self) -> dict[str, str]:
        """The entry as a line of a file that an import reads.

        >>> ListedEntry(token="c1", until_ms=1_772_366_400_001, reason="", author="ann",
        ...     source="by hand", added_at_ms=0).as_line()["expires"]
        '2026-03-01T12:00:00.001+00:00'
        """
        expires = ""
        if self.until_ms != FOREVER_MS:
            instant = _1970 + timedelta(milliseconds=self.until_ms)
            expires = instant.isoformat(timespec="milliseconds")
        return {"token": self.token, "expires": expires, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDiff:
    """What an import changes: entries added, changed, taken off, and left as they are.

    `repeated` lines of the file say again what another says.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    repeated: int = 0

    @property
    def touched(self) -> int:
        """How many entries are another afterwards.

        >>> ListDiff(added=2, removed=1, unchanged=7).touched
        3
        """
        return self.added + self.changed + self.removed


def new_list(name: str, *, kind: str, field: str, about: str = "") -> KeptList:
    """A list without entries; raises `InvalidTransaction` naming what is wrong.

    >>> new_list("Stolen", kind="block", field="card")
    Traceback (most recent call last):
    scoring.errors.InvalidTransaction: name: 'Stolen' must be a small letter, then up \
to 63 small letters, digits and _
    """
    if not _NAME.fullmatch(name):
        told = f"{name!r} must be a small letter, then up to 63 small letters, digits"
        raise InvalidTransaction("name", f"{told} and _")
    if kind not in set(ListKind):
        told = ", ".join(ListKind)
        raise InvalidTransaction("kind", f"no kind {kind!r}; known: {told}")
    try:
        checked = _FIELD.validate_python(field)
    except ValidationError as error:
        told = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidTransaction("field", f"{field!r}: {told}") from error
    return KeptList(
        name=name,
        kind=ListKind(kind),
        field=checked,
        about=checked_text("about", about, ABOUT_CHARACTERS_MAX),
    )


def checked_entry(field: str, token: str, expires: str, reason: str) -> NewEntry:
    """An entry of a list of `field`; `expires` is an instant, "" for never.

    Raises `InvalidTransaction`, of a card number `CardNumberRefused`.

    >>> checked_entry("card", "card-1", "2026-03-01T12:00:00Z", "stolen").until_ms
    1772366400000
    """
    if not 0 < len(token) <= TEXT_CHARACTERS_MAX:
        told = f"is required, at most {TEXT_CHARACTERS_MAX} characters"
        raise InvalidTransaction("token", told)
    if not token.isprintable():
        raise InvalidTransaction("token", "never occurs: it must be printable")
    if token != token.strip():
        told = "begins or ends with a blank, and would match nothing else; remove it"
        raise InvalidTransaction("token", told)
    if holds_card_number(token):
        raise CardNumberRefused("token")
    if why := never(field, token):
        raise InvalidTransaction("token", f"{token!r} never occurs: {why}")
    return NewEntry(
        token,
        instant_ms(expires) if expires else FOREVER_MS,
        checked_text("reason", reason, REASON_CHARACTERS_MAX),
    )


def checked_text(name: str, text: str, characters_max: int) -> str:
    """A text that people wrote; raises `InvalidTransaction`."""
    if not text:
        return ""
    if len(text) > characters_max:
        raise InvalidTransaction(name, f"at most {characters_max} characters")
    if not text.isprintable():
        raise InvalidTransaction(name, "must be printable, on one line")
    if holds_card_number(text):
        raise CardNumberRefused(name)
    return text


@lru_cache(maxsize=_INSTANTS_KEPT)
def instant_ms(text: str) -> int:
    """An expiry as event times are compared; raises `InvalidTransaction`.

    >>> instant_ms("2026-03-01")
    Traceback (most recent call last):
    scoring.errors.InvalidTransaction: expires: '2026-03-01' has no time zone; write \
an instant such as 2026-03-01T12:00:00Z
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        told = f"{text!r} is no instant; write one such as 2026-03-01T12:00:00Z"
        raise InvalidTransaction("expires", told) from error
    if instant.tzinfo is None:
        told = f"{text!r} has no time zone; write an instant such as"
        raise InvalidTransaction("expires", f"{told} 2026-03-01T12:00:00Z")
    at_ms = ms_of(instant)
    if at_ms <= OCCURRED_AT_MS_MIN:
        told = f"{text!r} lies before any payment: it would never be found"
        raise InvalidTransaction("expires", told)
    if at_ms > OCCURRED_AT_MS_MAX:
        told = f"{text!r} lies after any payment: leave it empty for never"
        raise InvalidTransaction("expires", told)
    return at_ms


def unchanged_since(
    info: KeptList, revision: int | None, changes: Sequence[str]
) -> None:
    """Raise `ChangedMeanwhile` where a list is not as of the revision that was read.

    `changes` say what was changed since, line by line; None asks for no check.

    >>> unchanged_since(new_list("a", kind="plain", field="card"), 0, [])
    """
    if revision is not None and revision != info.revision:
        raise ChangedMeanwhile(
            f"list {info.name!r} is at revision {info.revision}, not {revision}; read "
            "it again",
            tuple(changes),
        )


def fits(info: KeptList, count: int) -> None:
    """Raise `NotPossible` where a list would have more entries than it may."""
    if count > ENTRIES_MAX:
        raise NotPossible(
            f"list {info.name!r} would have {count:,} entries; at most {ENTRIES_MAX:,}"
        )
