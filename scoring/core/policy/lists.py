"""Named sets of tokens, each entry with an optional end and a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from scoring.core.features.readable import TEXTS_BY_KEY, is_keyed
from scoring.core.transaction.event_time import OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN
from scoring.core.transaction.transaction import READ_FIELDS, TEXT_CHARACTERS_MAX

ENTRIES_MAX = 100_000  # 12 MB a process; a larger list does not belong in a file
_FOREVER_MS = OCCURRED_AT_MS_MAX + 1

LIST_FIELDS = tuple(field.name for field in READ_FIELDS if field.is_selectable)
# As a rule can write it after a dot.
_WRITTEN_KEY = re.compile(rf"({'|'.join(TEXTS_BY_KEY)})\.[A-Za-z_][A-Za-z0-9_]*")


def _is_listable(name: str) -> str:
    if name in LIST_FIELDS or _WRITTEN_KEY.fullmatch(name):
        return name
    if is_keyed(name):
        raise ValueError("a list is of a key of letters, digits and _ only")
    known = ", ".join((*LIST_FIELDS, *(f"{of}.<key>" for of in TEXTS_BY_KEY)))
    raise ValueError(f"no list can be of it; known: {known}")


ListField = Annotated[str, AfterValidator(_is_listable)]


class Entry(BaseModel):
    """One token of a list; `expires` is an event time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str = Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)
    expires: AwareDatetime | None = None
    reason: str = Field("", max_length=200)

    @model_validator(mode="after")
    def _occurs(self) -> Entry:
        if not self.token.isprintable():
            raise ValueError("token never occurs: it must be printable")
        if self.expires and ms_of(self.expires) <= OCCURRED_AT_MS_MIN:
            raise ValueError("expires lies before any payment: it would never be found")
        return self


def ms_of(instant: datetime) -> int:
    """An instant as event times are compared: milliseconds since 1970, UTC.

    >>> from datetime import UTC
    >>> ms_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000
    """
    return int(instant.timestamp() * 1000)


def expiries(entries: Sequence[Entry]) -> Mapping[str, int]:
    """The event time, ms, until which each token is on the list; the latest wins.

    >>> expiries([Entry(token="a")])["a"] > OCCURRED_AT_MS_MAX
    True
    """
    until: dict[str, int] = {}
    for entry in entries:
        ms = _FOREVER_MS if entry.expires is None else ms_of(entry.expires)
        until[entry.token] = max(ms, until.get(entry.token, 0))
    return until
