"""Many entries of a list at once: the same checks as of one, by columns."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from scoring.control.domain.managed_lists import (
    REASON_CHARACTERS_MAX,
    NewEntry,
    checked_text,
    instant_ms,
)
from scoring.core.release.list_release import FOREVER_MS
from scoring.core.transaction.card_number import any_holds_card_number
from scoring.core.transaction.transaction import (
    CLOSED,
    FORMS,
    TEXT_CHARACTERS_MAX,
)
from scoring.errors import InvalidTransaction

_HASH_BYTES = 8


# (token, its 64 bits as `signed_hashes` has them, until_ms, reason): as it is stored.
EntryRow = tuple[str, int, int, str]


def checked_columns(
    field: str, tokens: Sequence[str], expires: Sequence[str], reasons: Sequence[str]
) -> list[EntryRow] | None:
    """The entries as rows, if `checked_entry` takes each of them, else None.

    Does not say which: whoever gets None asks one by one. A million take a second.

    >>> [row[3] for row in checked_columns("card", ["c1"], [""], ["stolen"])]
    ['stolen']
    >>> checked_columns("card", ["c1", " c2"], ["", ""], ["", ""]) is None
    True
    """
    if not _are_tokens(field, tokens):
        return None
    try:
        ends = {each: instant_ms(each) if each else FOREVER_MS for each in set(expires)}
        for reason in set(reasons):
            checked_text("reason", reason, REASON_CHARACTERS_MAX)
    except InvalidTransaction:
        return None
    until_ms = map(ends.__getitem__, expires)
    # One text of each reason, however many lines say it.
    told = map({each: each for each in reasons}.__getitem__, reasons)
    return list(zip(tokens, signed_hashes(tokens), until_ms, told, strict=True))


def entry_row(entry: NewEntry) -> EntryRow:
    """An entry as a row."""
    (hashed,) = signed_hashes([entry.token])
    return entry.token, hashed, entry.until_ms, entry.reason


def signed_hashes(tokens: Sequence[str]) -> list[int]:
    """`token_hash` of each, with the highest bit as a sign: what databases keep.

    >>> from scoring.core.release.list_release import token_hash
    >>> signed_hashes(["card-1"])[0] % 2**64 == token_hash("card-1")
    True
    """
    digests = [blake2b(t.encode(), digest_size=_HASH_BYTES).digest() for t in tokens]
    hashes: list[int] = np.frombuffer(b"".join(digests), "<i8").tolist()
    return hashes


def _are_tokens(field: str, tokens: Sequence[str]) -> bool:
    """Whether each can stand on a list of a field.

    Only of a field whose values have a form or are a closed set, each is asked.
    """
    if field in CLOSED or field in FORMS:
        return False
    sizes = set(map(len, tokens))
    return (
        min(sizes, default=1) > 0
        and max(sizes, default=1) <= TEXT_CHARACTERS_MAX
        and "".join(tokens).isprintable()
        and all(map(str.__eq__, tokens, map(str.strip, tokens)))
        and not any_holds_card_number(tokens)
    )
