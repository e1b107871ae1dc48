"""Cases as the API takes them: filters, and what is done with one or with many."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from scoring.control.api.case_views import OutcomeName
from scoring.control.api.plane import ITEMS_MAX, cursor_of, read_cursor
from scoring.control.api.wishes import Why, Wish, without_card_number
from scoring.control.database.cases import CasePlace, place_after
from scoring.control.desks.case_desk import BulkAct
from scoring.control.desks.forget_desk import ForgetWish
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.domain.cases import (
    LISTINGS_MAX,
    NOTE_CHARACTERS_MAX,
    Case,
    CaseOrder,
    CaseState,
    CaseVerdict,
    ClosingWish,
    ListingWish,
    Shared,
)
from scoring.errors import InvalidTransaction

_PLACE = re.compile(
    r"(?P<order>[a-z]+)(?P<key>-1|[0-9]{1,19})\.(?P<number>[0-9]{1,15})"
)
_MS_MAX = 2**53
_VERSION_MAX = 2**31 - 1
_TOKEN_MAX, _NAME_MAX, _PERSON_MAX = 128, 64, 200

Token = Annotated[str, Field(max_length=_TOKEN_MAX)]
Name = Annotated[str, Field(max_length=_NAME_MAX)]
Ms = Annotated[int, Field(ge=0, le=_MS_MAX)]
Revision = Annotated[
    int | None,
    Field(
        ge=1,
        le=_VERSION_MAX,
        description="The case's revision that was read; another one is refused.",
    ),
]


class FilterParts(BaseModel):
    """What a queue is filtered by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: CaseState | None = Field(
        None, strict=False, description="Default: whatever is not closed."
    )
    overdue: bool | None = Field(None, strict=False)
    assignee: Annotated[str, Field(max_length=_PERSON_MAX)] = ""
    tenant: Name = ""
    transaction: Token = Field("", description="A transaction's id.")
    outcome: OutcomeName | None = None
    rule: Name = ""
    reason: Name = ""
    merchant: Token = ""
    worth_from: Ms | None = Field(
        None, description="Minor units of the reference currency."
    )
    worth_below: Ms | None = None
    decided_from_ms: Ms | None = None
    decided_before_ms: Ms | None = None

    def filter(self) -> CaseFilter:
        """The same, as the desk takes it."""
        return CaseFilter(
            state=self.state,
            is_overdue=self.overdue,
            assignee=self.assignee,
            tenant=self.tenant,
            transaction_id=self.transaction,
            outcome=self.outcome or "",
            rule=self.rule,
            reason=self.reason,
            merchant=self.merchant,
            worth_from=self.worth_from,
            worth_below=self.worth_below,
            decided_from_ms=self.decided_from_ms,
            decided_before_ms=self.decided_before_ms,
        )


class QueueQuery(FilterParts):
    """Which cases, in which order, and which part of them."""

    order: CaseOrder = CaseOrder.OLDEST
    cursor: Annotated[str, Field(max_length=100)] = Field(
        "", description="`next` of the page before; empty: the first."
    )
    limit: int = Field(50, ge=1, le=ITEMS_MAX, description="Items of one page.")

    def place(self) -> CasePlace | None:
        """Where the page before ended; raises `InvalidTransaction`."""
        read = read_cursor(self.cursor, _PLACE)
        if read is None:
            return None
        if read["order"] != self.order:
            raise InvalidTransaction(
                "cursor",
                "is of another order; begin without one, or ask for that order",
            )
        return CasePlace(int(read["key"]), int(read["number"]))

    def next(self, last: Case) -> str:
        """The cursor behind a case."""
        place = place_after(last, self.order)
        return cursor_of(f"{self.order}{place.key}.{place.number}")


class FilterWish(FilterParts):
    """The same, in a content."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LookUpWish(Wish):
    """A token whose cases are looked for: in the content, so that no log has it."""

    shared: Annotated[Shared, Field(strict=False)]
    token: Annotated[str, Field(min_length=1, max_length=_TOKEN_MAX)]
    tenant: Name = ""


class ForgettingWish(LookUpWish):
    """A token that is forgotten; `why` is kept in the audit, and must not name it."""

    why: Why = ""

    def wish(self) -> ForgetWish:
        """The same, as the desk takes it."""
        return ForgetWish(what=self.shared, token=self.token, tenant=self.tenant)


class AssignWish(Wish):
    """Whose a case shall be; empty: one's own. Said again, the lease begins anew."""

    to: Annotated[str, Field(max_length=_PERSON_MAX)] = ""
    revision: Revision = None
    why: Why = ""


class CaseWish(Wish):
    """Something to be done with a case as it was read."""

    revision: Revision = None
    why: Why = ""


class NoteWish(Wish):
    """What to write beside a case."""

    text: Annotated[
        str,
        Field(min_length=1, max_length=NOTE_CHARACTERS_MAX),
        AfterValidator(without_card_number),
    ]


class ListingPart(Wish):
    """A list on which the payment's token shall be, the one that it lists.

    `expires` is an instant of event time, empty for never.
    """

    list: Annotated[str, Field(min_length=1, max_length=_NAME_MAX)]
    expires: Annotated[str, Field(max_length=_NAME_MAX)] = ""
    reason: Annotated[str, Field(max_length=_TOKEN_MAX * 4)] = ""


class ClosingPart(Wish):
    """How a case shall end.

    `label_version` must be above those of all labels that others reported of the same
    transaction; 0 where nobody does.
    """

    verdict: Annotated[CaseVerdict, Field(strict=False)]
    listings: list[ListingPart] = Field(default_factory=list, max_length=LISTINGS_MAX)
    label_version: Annotated[int, Field(ge=0, le=_VERSION_MAX)] = 0

    def wish(self, why: str) -> ClosingWish:
        """The same, as the desk takes it."""
        return ClosingWish(
            verdict=self.verdict,
            listings=tuple(ListingWish(**each.model_dump()) for each in self.listings),
            why=why,
            label_version=self.label_version,
        )


class CloseWish(ClosingPart):
    """How a case shall end, as it was read."""

    revision: Revision = None
    why: Why = ""


class BulkWish(Wish):
    """What to do with every case of a filter; without `selection` only how many.

    One of `closing`, `assign_to` (empty: oneself) and `release`.
    """

    filter: FilterWish
    closing: ClosingPart | None = None
    assign_to: Annotated[str, Field(max_length=_PERSON_MAX)] | None = None
    release: bool = False
    selection: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    why: Why = ""

    def act(self) -> BulkAct:
        """What is done; raises `InvalidTransaction` for none or several."""
        said = (self.closing is not None, self.assign_to is not None, self.release)
        if sum(said) != 1:
            raise InvalidTransaction(
                "closing", "say one of closing, assign_to and release"
            )
        return BulkAct(
            closing=None if self.closing is None else self.closing.wish(""),
            to=self.assign_to or "",
            release=self.release,
        )
