"""What an archived row keeps of a token that is to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from scoring.core.transaction.transaction import FIELD_OF, PERSONAL_FIELDS
from scoring.history.rows import Row


def digest(token: str) -> str:
    """What the archive keeps of a token that it was told to forget.

    >>> len(digest("card-7"))
    64
    """
    return sha256(token.encode()).hexdigest()


def masked_row(row: Row, field: str, mask: str) -> Row:
    """A decision's row without the token, or what would prove or answer it; where the
    token is its payer's, without all that is personal in it.
    """
    erased: Row = {}
    if field in FIELD_OF and FIELD_OF[field].names_payer:
        erased = {name: FIELD_OF[name].absent for name in PERSONAL_FIELDS}
    of, _, key = field.partition(".")
    own = {of: {**(row[of] or {}), key: mask} if key else mask}
    return row | erased | own | {"payload_hash": None, "decision": None}


def text_in(row: Row, field: str) -> str:
    """A row's text: of a field, or under a key of the caller's own.

    >>> text_in({"attributes": {"plan": "gold"}}, "attributes.plan")
    'gold'
    """
    of, _, key = field.partition(".")
    found = (row[of] or {}).get(key) if key else row[of]
    return found or ""


def masked(row: Row, masks: Mapping[tuple[str, str, str], str]) -> Row:
    """A row as it is kept, with the masks of `Archive.masks`."""
    if not masks or "id" not in row:
        return row
    for tenant, column, known in masks:
        token = text_in(row, column)
        if tenant == row["tenant"] and token and digest(token) == known:
            row = masked_row(row, column, masks[tenant, column, known])
    return row
