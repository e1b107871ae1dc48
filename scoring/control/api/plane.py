"""What the routers answer from, and how each finds out who asks."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query, Request

from scoring.control.api.identity import Identity
from scoring.control.api.import_jobs import ImportJobs
from scoring.control.database.database import Database
from scoring.control.desks.audit_desk import AuditDesk
from scoring.control.desks.backtest_desk import BacktestDesk
from scoring.control.desks.case_desk import CaseDesk
from scoring.control.desks.forget_desk import ForgetDesk
from scoring.control.desks.list_desk import ListDesk
from scoring.control.desks.model_desk import ModelDesk
from scoring.control.desks.payment_desk import PaymentDesk
from scoring.control.desks.people_desk import PeopleDesk
from scoring.control.desks.policy_desk import PolicyDesk
from scoring.control.desks.policy_texts import PolicyTexts
from scoring.control.desks.threshold_desk import LevelsByCost, ThresholdDesk
from scoring.control.domain.people import By, Person
from scoring.control.replicas import Replicas
from scoring.errors import InvalidTransaction, Unauthenticated

ITEMS_MAX = 200
_PLACE = re.compile(r"n([0-9]{1,15})")


def _nobody() -> None:
    """Nobody waits for what was committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """The desks of one installation, and who may come to them.

    `person` overrides the identity: somebody at the shell, who has the database anyway.
    `committed` is called after each write: the relay is woken by it.
    """

    database: Database
    texts: PolicyTexts
    policies: PolicyDesk
    lists: ListDesk
    cases: CaseDesk
    forgetting: ForgetDesk
    backtests: BacktestDesk
    models: ModelDesk
    people: PeopleDesk
    audit: AuditDesk
    replicas: Replicas
    payments: PaymentDesk = field(default_factory=PaymentDesk)
    levels: LevelsByCost | None = None
    identity: Identity | None = None
    person: Person | None = None
    committed: Callable[[], None] = field(default=_nobody)
    jobs: ImportJobs = field(default_factory=ImportJobs)

    @property
    def thresholds(self) -> ThresholdDesk:
        """The desk of thresholds."""
        return ThresholdDesk(self.backtests, self.levels)


def plane_of(request: Request) -> Plane:
    """What a request is answered from."""
    plane: Plane = request.app.state.plane
    return plane


def person_of(request: Request) -> Person:
    """Who asks; blocks on the database. Raises `Unauthenticated` and `Denied`."""
    plane, known = plane_of(request), request.scope["state"]
    if plane.person is not None:
        return plane.person
    if plane.identity is None:
        raise Unauthenticated("nobody is let in here; configure who may")
    if "person" not in known:
        address = request.client.host if request.client else ""
        known["person"] = plane.identity.person(request.headers, address)
    person: Person = known["person"]
    return person


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is known, at the desks."""

    plane: Plane
    person: Person

    @property
    def policies(self) -> PolicyDesk:
        """The desk of policies."""
        return self.plane.policies

    @property
    def lists(self) -> ListDesk:
        """The desk of managed lists."""
        return self.plane.lists

    @property
    def backtests(self) -> BacktestDesk:
        """The desk of backtests."""
        return self.plane.backtests

    @property
    def cases(self) -> CaseDesk:
        """The desk of cases."""
        return self.plane.cases

    @property
    def forgetting(self) -> ForgetDesk:
        """The desk at which tokens are forgotten."""
        return self.plane.forgetting

    def because(self, why: str) -> By:
        """The same as who asks a desk for an action, and why."""
        return By(self.person, why)


def visitor_of(request: Request) -> Visitor:
    """Who asks, and what of; see `person_of`."""
    return Visitor(plane_of(request), person_of(request))


Visiting = Annotated[Visitor, Depends(visitor_of)]
Limit = Annotated[int, Query(ge=1, le=ITEMS_MAX, description="Items of one page.")]
Cursor = Annotated[
    str,
    Query(max_length=64, description="`next` of the page before; empty: the first."),
]


def cursor_at(number: int) -> str:
    """A cursor; what it says is ours to change.

    >>> place_of(cursor_at(17)), place_of("")
    (17, None)
    """
    return cursor_of(f"n{number}")


def place_of(cursor: str) -> int | None:
    """Where a cursor is, None at the first page; raises `InvalidTransaction`."""
    number = read_cursor(cursor, _PLACE)
    return None if number is None else int(number[1])


def cursor_of(place: str) -> str:
    """A cursor of what says a place."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def read_cursor(cursor: str, form: re.Pattern[str]) -> re.Match[str] | None:
    """What says a place, None at the first page; raises `InvalidTransaction`."""
    if not cursor:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        read = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        read = ""
    place = form.fullmatch(read)
    if place is None:
        raise InvalidTransaction(
            "cursor", "is none of ours; begin without one, and send `next` as it is"
        )
    return place
