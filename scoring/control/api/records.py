"""The audit, people and replicas over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from scoring.control.api import views, wishes
from scoring.control.api.plane import ITEMS_MAX, Visiting, cursor_at, place_of
from scoring.control.api.requests import StrictRoute
from scoring.control.domain.people import ROLES_OF, Right

router = APIRouter(prefix="/v1", route_class=StrictRoute)
NDJSON = "application/x-ndjson"
_NAME_CHARACTERS_MAX = 200
_SUBJECT_CHARACTERS_MAX = 300


@router.get("/me", operation_id="getSelf", tags=["people"])
def get_self(by: Visiting) -> views.SelfView:
    """Say who asks, and what they may do."""
    person = by.person
    rights = [right.value for right in Right if person.roles & ROLES_OF[right]]
    return views.SelfView(
        name=person.name,
        roles=views.roles_of(list(person.roles)),
        rights=rights,
        notices=list(by.policies.rules.notices),
    )


@router.get("/people", operation_id="listPeople", tags=["people"])
def list_people(by: Visiting) -> views.Page[views.PersonView]:
    """List who has a token of ours."""
    items = [
        views.PersonView(
            name=each.name,
            roles=views.roles_of(list(each.roles)),
            created_at_ms=each.created_at_ms,
            by=each.by,
        )
        for each in by.plane.people.listed(by.person)
    ]
    return views.Page(items=items, next=None)


@router.post(
    "/people",
    operation_id="addPerson",
    tags=["people"],
    status_code=HTTPStatus.CREATED,
)
def add_person(by: Visiting, wish: wishes.PersonWish) -> views.TokenView:
    """Give somebody a token, in place of the one that they had."""
    token = by.plane.people.give(by.person, wish.name, frozenset(wish.roles))
    return views.TokenView(
        name=wish.name, roles=views.roles_of(wish.roles), token=token
    )


@router.delete(
    "/people/{name}",
    operation_id="removePerson",
    tags=["people"],
    status_code=HTTPStatus.NO_CONTENT,
)
def remove_person(
    by: Visiting, name: Annotated[str, Path(max_length=_NAME_CHARACTERS_MAX)]
) -> None:
    """Withdraw somebody's token at once."""
    by.plane.people.withdraw(by.person, name)


class AuditQuery(BaseModel):
    """Which entries, in which order, and which part of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Annotated[str, Field(max_length=_SUBJECT_CHARACTERS_MAX)] = ""
    action: Annotated[str, Field(max_length=_SUBJECT_CHARACTERS_MAX)] = ""
    cursor: Annotated[str, Field(max_length=64)] = Field(
        "", description="`next` of the page before; empty: the first."
    )
    limit: int = Field(50, ge=1, le=ITEMS_MAX, description="Items of one page.")
    newest: bool = Field(False, description="The newest first.")


@router.get("/audit", operation_id="listAudit", tags=["audit"])
def list_audit(
    by: Visiting, query: Annotated[AuditQuery, Query()]
) -> views.Page[views.EntryView]:
    """List entries of the audit, the oldest first or the newest."""
    audit, place = by.plane.audit, place_of(query.cursor)
    named = {"subject": query.subject, "action": query.action}
    limit = query.limit
    if query.newest:
        found = audit.newest(by.person, below=place, **named, count_max=limit + 1)
    else:
        found = audit.entries(by.person, after=place or 0, **named, count_max=limit + 1)
    more = cursor_at(found[limit - 1].sequence) if len(found) > limit else None
    items = [views.EntryView.of(each) for each in found[:limit]]
    return views.Page(items=items, next=more)


@router.get("/audit/verification", operation_id="verifyAudit", tags=["audit"])
def verify_audit(by: Visiting) -> views.VerifiedView:
    """Say whether an entry was changed, left out or moved."""
    verdict = by.plane.audit.verify(by.person)
    return views.VerifiedView(
        entries=verdict.head.sequence, problems=list(verdict.problems)
    )


@router.get(
    "/audit/export",
    operation_id="exportAudit",
    tags=["audit"],
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Each entry as it was hashed, one line of JSON each.",
            "content": {NDJSON: {"schema": {"type": "string"}}},
        }
    },
)
def export_audit(
    by: Visiting, after: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> StreamingResponse:
    """Export the audit as JSON lines."""
    lines: Iterator[str] = by.plane.audit.export(by.person, after=after)
    return StreamingResponse(lines, media_type=NDJSON)


@router.get("/replicas", operation_id="listReplicas", tags=["replicas"])
def list_replicas(by: Visiting) -> views.ReplicasView:
    """List which process runs what, since when, and which of them lag."""
    by.person.needs(Right.READ)
    replicas = by.plane.replicas
    return views.ReplicasView(
        release=replicas.newest.release,
        published_at_ms=replicas.newest.published_at_ms,
        unknown=views.UnknownReleaseView.of(replicas.newest.unknown),
        items=[views.ReplicaView.of(each) for each in replicas.states()],
    )
