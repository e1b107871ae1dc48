"""Cases over HTTP: the queue, one case, and how it is closed."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query

from scoring.control.api.case_views import (
    BulkView,
    CaseDetailView,
    CaseView,
    FiguresView,
    ForgottenView,
    LabelView,
    LinkView,
    NoteView,
    decision_of,
)
from scoring.control.api.case_wishes import (
    AssignWish,
    BulkWish,
    CaseWish,
    CloseWish,
    ForgettingWish,
    LookUpWish,
    NoteWish,
    QueueQuery,
)
from scoring.control.api.plane import Visiting, Visitor
from scoring.control.api.requests import StrictRoute
from scoring.control.api.views import Page
from scoring.control.database.unit_of_work import UnitOfWork
from scoring.control.domain.cases import Case, Shared

T = TypeVar("T")
router = APIRouter(prefix="/v1", tags=["cases"], route_class=StrictRoute)
_NUMBER_MAX = 2**53
_LOOKED_UP_MAX = 200
_LINKED_MAX = 5
CaseNumber = Annotated[int, Path(ge=1, le=_NUMBER_MAX)]


@router.get("/cases", operation_id="listCases")
def list_cases(by: Visiting, query: Annotated[QueueQuery, Query()]) -> Page[CaseView]:
    """List cases, the oldest first or the largest."""
    at_ms, limit = by.cases.now_ms, query.limit
    with by.cases.read(by.person) as work:
        found = work.cases.page(
            query.filter(),
            query.order,
            at_ms=at_ms,
            after=query.place(),
            count_max=limit + 1,
        )
    items = [CaseView.of(each, at_ms) for each in found[:limit]]
    more = query.next(found[limit - 1]) if len(found) > limit else None
    return Page(items=items, next=more)


@router.get("/case-figures", operation_id="getCaseFigures")
def get_case_figures(by: Visiting) -> FiguresView:
    """Say how many cases wait, how many are overdue, and how old the oldest is."""
    with by.cases.read(by.person) as work:
        return FiguresView(**asdict(work.cases.figures(at_ms=by.cases.now_ms)))


@router.post("/case-look-up", operation_id="lookUpCases")
def look_up_cases(by: Visiting, wish: LookUpWish) -> Page[CaseView]:
    """List the newest cases of a token, closed ones too, but for erased ones."""
    at_ms = by.cases.now_ms
    with by.cases.read(by.person) as work:
        found = work.cases.of_token(
            wish.shared, wish.token, tenant=wish.tenant, count_max=_LOOKED_UP_MAX
        )
    return Page(items=[CaseView.of(each, at_ms) for each in found], next=None)


@router.post("/case-forgettings", operation_id="forgetToken")
def forget_token(by: Visiting, wish: ForgettingWish) -> ForgottenView:
    """Erase what is personal of a token in cases, and take it off the lists.

    Open cases of it end without a finding. The audit tells how many, and not of whom.
    """
    told = by.forgetting.forget(by.because(wish.why), wish.wish())
    return _committed(by, ForgottenView(**asdict(told)))


@router.post("/case-bulks", operation_id="actOnCases")
def act_on_cases(by: Visiting, wish: BulkWish) -> BulkView:
    """Say how many cases an act would be done with; do it where these are named.

    It is done in pieces; interrupted, it is continued by asking the same again.
    """
    act, wanted = wish.act(), wish.filter.filter()
    if not wish.selection:
        return BulkView.of(by.cases.selected(by.person, wanted, act))
    bulk = by.cases.bulk(by.because(wish.why), wanted, act, wish.selection)
    return _committed(by, BulkView.over(bulk))


@router.get("/cases/{number}", operation_id="getCase")
def get_case(by: Visiting, number: CaseNumber) -> CaseDetailView:
    """Get a case with its decision, notes and labels, and other cases of its tokens."""
    at_ms = by.cases.now_ms
    with by.cases.read(by.person) as work:
        case = work.cases.case(number)
        return CaseDetailView(
            case=CaseView.of(case, at_ms),
            decision=decision_of(work.cases.decision(number)),
            notes=[NoteView.of(each) for each in work.cases.notes(number)],
            labels=[LabelView.of(each) for each in work.case_labels.of(number)],
            links=_links(work, case, at_ms),
        )


@router.post("/cases/{number}/assignment", operation_id="assignCase")
def assign_case(by: Visiting, number: CaseNumber, wish: AssignWish) -> CaseView:
    """Assign a case, by default to oneself, for as long as a lease lasts."""
    case = by.cases.assign(
        by.because(wish.why), number, wish.to, revision=wish.revision
    )
    return _told(by, case)


@router.post("/cases/{number}/release", operation_id="releaseCase")
def release_case(by: Visiting, number: CaseNumber, wish: CaseWish) -> CaseView:
    """Give a case back to the queue."""
    case = by.cases.release(by.because(wish.why), number, revision=wish.revision)
    return _told(by, case)


@router.post(
    "/cases/{number}/notes", operation_id="noteCase", status_code=HTTPStatus.CREATED
)
def note_case(by: Visiting, number: CaseNumber, wish: NoteWish) -> NoteView:
    """Write beside a case."""
    return NoteView.of(by.cases.note(by.because(""), number, wish.text))


@router.post("/cases/{number}/closing", operation_id="closeCase")
def close_case(by: Visiting, number: CaseNumber, wish: CloseWish) -> CaseView:
    """Close a case: write its label, and put its tokens on lists, in one step.

    Repeated with the same words it changes nothing, and is answered alike.
    """
    case = by.cases.close(
        by.because(wish.why), number, wish.wish(wish.why), revision=wish.revision
    )
    return _told(by, case)


@router.post("/cases/{number}/reopening", operation_id="reopenCase")
def reopen_case(by: Visiting, number: CaseNumber, wish: CaseWish) -> CaseView:
    """Open a closed case again; its label stays until it is closed otherwise."""
    case = by.cases.reopen(by.because(wish.why), number, revision=wish.revision)
    return _told(by, case)


def _links(work: UnitOfWork, case: Case, at_ms: int) -> list[LinkView]:
    links = []
    for shared in Shared:
        token = case.decided.shared(shared)
        if token:
            count, newest = work.cases.others(case, shared, count_max=_LINKED_MAX)
            views = [CaseView.of(each, at_ms) for each in newest]
            links.append(
                LinkView(shared=shared, token=token, count=count, newest=views)
            )
    return links


def _told(by: Visitor, case: Case) -> CaseView:
    return _committed(by, CaseView.of(case, by.cases.now_ms))


def _committed(by: Visitor, told: T) -> T:
    by.plane.committed()
    return told
