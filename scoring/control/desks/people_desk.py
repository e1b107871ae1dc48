"""People with a token of ours: given, listed, withdrawn, and known again."""

from __future__ import annotations

from collections.abc import Callable

from scoring.control.database.database import Database
from scoring.control.database.people_tokens import TokenHolder, TokenHolders
from scoring.control.database.unit_of_work import UnitOfWork, reading, writing
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.people import Doing, Person, PersonRole, Right
from scoring.control.domain.tokens import new_token, token_digest
from scoring.errors import InvalidTransaction, NotFound, Unauthenticated


class PeopleDesk:
    """Every action on tokens: each is one transaction with its audit entry.

    Blocks on the database. Raises `Denied`, `NotFound` and `DatabaseUnavailable`.
    """

    def __init__(self, database: Database, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    def holder(self, digest: str) -> tuple[str, frozenset[PersonRole]] | None:
        """Name and roles of whoever holds the token of a digest; None for nobody."""
        with self._database.reading() as connection:
            found = TokenHolders(connection).of_digest(digest)
        return None if found is None else (found.name, found.roles)

    def listed(self, person: Person) -> list[TokenHolder]:
        """Everybody who has a token, by name."""
        person.needs(Right.ADMINISTER)
        with reading(self._database) as work:
            return TokenHolders(work.connection).listed()

    def give(self, person: Person, name: str, roles: frozenset[PersonRole]) -> str:
        """Give somebody a new token, in place of an earlier one; it is kept nowhere."""
        person.needs(Right.ADMINISTER)
        name = _named(name)
        token, at_ms = new_token(), self._now_ms()
        digest = token_digest(token)
        holder = TokenHolder(name, roles, at_ms, person.name)
        with writing(self._database) as work:
            holders = TokenHolders(work.connection)
            before = holders.named(name)
            holders.withdraw(name, at_ms)
            holders.add(digest, holder)
            self._record(work, person, "people.give", (before, holder))
        return token

    def withdraw(self, person: Person, name: str) -> None:
        """Withdraw somebody's token at once; raises `NotFound`."""
        person.needs(Right.ADMINISTER)
        name = _named(name)
        with writing(self._database) as work:
            holders = TokenHolders(work.connection)
            before = holders.named(name)
            if before is None:
                raise NotFound(f"nobody of this name has a token: {name}", "name")
            holders.withdraw(name, self._now_ms())
            self._record(work, person, "people.withdraw", (before, None))

    def _record(
        self,
        work: UnitOfWork,
        person: Person,
        action: str,
        change: tuple[TokenHolder | None, TokenHolder | None],
    ) -> None:
        before, after = change
        name = next(each.name for each in change if each is not None)
        work.audit.record(
            Change(
                action=action,
                subject=f"person {name}",
                before=_written(before),
                after=_written(after),
            ),
            Doing(person, self._now_ms()),
        )


def _named(name: str) -> str:
    """A name as it is kept; raises `InvalidTransaction`."""
    try:
        return Person(name, frozenset()).name
    except Unauthenticated as error:
        raise InvalidTransaction("name", str(error)) from error


def _written(holder: TokenHolder | None) -> dict[str, list[str]] | None:
    return None if holder is None else {"roles": sorted(holder.roles)}
