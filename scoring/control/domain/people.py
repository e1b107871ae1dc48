"""Who acts, and what each role may do: one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from unicodedata import normalize

from scoring.errors import Denied, InvalidTransaction, Unauthenticated

_NAME_CHARACTERS_MAX = 200


class PersonRole(StrEnum):
    """What a person is for the risk team; one may be several."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    AUTHOR = "author"
    APPROVER = "approver"
    ADMIN = "admin"


class Right(StrEnum):
    """What a role allows; the value completes "may not …"."""

    READ = "read"
    WORK_CASES = "work on cases"
    CHANGE_LISTS = "change lists"
    BACKTEST = "run a backtest"
    WRITE_POLICY = "write policies"
    APPROVE = "approve or reject policies"
    RELEASE = "release an approved policy"
    ROLL_BACK = "roll back, stop or re-arm"
    ADMINISTER = "administer people and settings"


_ALL = frozenset(PersonRole)
_WRITERS = frozenset({PersonRole.AUTHOR, PersonRole.ADMIN})
_ANALYSTS = frozenset({PersonRole.ANALYST, *_WRITERS})
# Whoever is on call may return to what was: to stop harm needs no second person.
_ON_CALL = frozenset({PersonRole.AUTHOR, PersonRole.APPROVER, PersonRole.ADMIN})
ROLES_OF: Mapping[Right, frozenset[PersonRole]] = {
    Right.READ: _ALL,
    Right.WORK_CASES: _ANALYSTS,
    Right.CHANGE_LISTS: _ANALYSTS,
    Right.BACKTEST: _ALL - {PersonRole.VIEWER},
    Right.WRITE_POLICY: _WRITERS,
    Right.APPROVE: frozenset({PersonRole.APPROVER, PersonRole.ADMIN}),
    Right.RELEASE: _ON_CALL,
    Right.ROLL_BACK: _ON_CALL,
    Right.ADMINISTER: frozenset({PersonRole.ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts; `origin` is from where, as the audit records it: an address, a shell.

    A name is one whatever its case or its form in Unicode: whoever comes in by a token
    and by a proxy does not approve their own work. Raises `Unauthenticated` for a name
    that could not be told from another's.

    >>> Person("Ann@Example.org", frozenset()).name
    'ann@example.org'
    """

    name: str
    roles: frozenset[PersonRole]
    origin: str = ""

    def __post_init__(self) -> None:
        plain = normalize("NFKC", normalize("NFKC", self.name).casefold())
        object.__setattr__(self, "name", plain)
        if (
            not 0 < len(self.name) <= _NAME_CHARACTERS_MAX
            or not self.name.isprintable()
        ):
            raise Unauthenticated(
                f"a person's name is 1 to {_NAME_CHARACTERS_MAX} printable characters"
            )
        if self.name != self.name.strip():
            raise Unauthenticated(
                "a person's name neither begins nor ends with a blank"
            )

    def needs(self, right: Right) -> None:
        """Raise `Denied` unless a role of this person allows it.

        >>> Person("ann", frozenset({PersonRole.AUTHOR})).needs(Right.WRITE_POLICY)
        """
        allowing = ROLES_OF[right]
        if not self.roles & allowing:
            which = ", ".join(role for role in PersonRole if role in allowing)
            has = ", ".join(sorted(self.roles)) or "no role"
            raise Denied(
                f"{self.name} ({has}) may not {right}; roles that may: {which}"
            )


@dataclass(frozen=True, slots=True)
class By:
    """Who asks for an action, and why."""

    person: Person
    why: str = ""

    def at(self, ms: int) -> Doing:
        """The same as it is done, at a time."""
        return Doing(self.person, ms, self.why)


@dataclass(frozen=True, slots=True)
class Doing:
    """Who does something, when (UTC, ms) and why."""

    person: Person
    at_ms: int
    why: str = ""


def role_named(name: str) -> PersonRole:
    """A role by its name; raises `InvalidTransaction` naming the known ones.

    >>> role_named("author")
    <PersonRole.AUTHOR: 'author'>
    """
    try:
        return PersonRole(name)
    except ValueError as error:
        known = ", ".join(PersonRole)
        raise InvalidTransaction(
            "roles", f"no role {name!r}; known: {known}"
        ) from error
