"""People who were given a token of ours, as rows; of the token its hash alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from scoring.control.database.tables import PEOPLE_TOKENS
from scoring.control.domain.people import PersonRole


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """Somebody with a token: what they are, and who said so."""

    name: str
    roles: frozenset[PersonRole]
    created_at_ms: int
    by: str


class TokenHolders:
    """The holders, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_digest(self, digest: str) -> TokenHolder | None:
        """Whoever holds the token of a digest."""
        found = _VALID.where(PEOPLE_TOKENS.c.token_sha256 == digest)
        row = self._connection.execute(found).one_or_none()
        return None if row is None else _holder_from(row)

    def named(self, name: str) -> TokenHolder | None:
        """The holder of a name."""
        found = _VALID.where(PEOPLE_TOKENS.c.name == name)
        row = self._connection.execute(found).one_or_none()
        return None if row is None else _holder_from(row)

    def listed(self) -> list[TokenHolder]:
        """Every holder, by name."""
        rows = self._connection.execute(_VALID.order_by(PEOPLE_TOKENS.c.name))
        return [_holder_from(row) for row in rows]

    def add(self, digest: str, holder: TokenHolder) -> None:
        """Keep a token's digest with its holder."""
        self._connection.execute(
            insert(PEOPLE_TOKENS).values(
                token_sha256=digest,
                name=holder.name,
                roles=json.dumps(sorted(holder.roles)),
                by=holder.by,
                created_at_ms=holder.created_at_ms,
            )
        )

    def withdraw(self, name: str, at_ms: int) -> None:
        """No token of this name is good any more."""
        of_it = update(PEOPLE_TOKENS).where(
            PEOPLE_TOKENS.c.name == name, PEOPLE_TOKENS.c.revoked_at_ms.is_(None)
        )
        self._connection.execute(of_it.values(revoked_at_ms=at_ms))


_VALID = select(
    PEOPLE_TOKENS.c.name,
    PEOPLE_TOKENS.c.roles,
    PEOPLE_TOKENS.c.created_at_ms,
    PEOPLE_TOKENS.c.by,
).where(PEOPLE_TOKENS.c.revoked_at_ms.is_(None))


def _holder_from(row: Any) -> TokenHolder:
    roles = frozenset(map(PersonRole, json.loads(row.roles)))
    return TokenHolder(row.name, roles, row.created_at_ms, row.by)
