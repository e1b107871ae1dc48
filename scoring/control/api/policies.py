"""Policies over HTTP: versions, proposals, four eyes, and what runs."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from scoring.control.api import views, wishes
from scoring.control.api.plane import (
    Cursor,
    Limit,
    Visiting,
    Visitor,
    cursor_at,
    place_of,
)
from scoring.control.api.problems import problem
from scoring.control.api.requests import StrictRoute
from scoring.control.desks.policy_steps import PolicyAnswer
from scoring.control.domain.approvals import Act, ProposalStage
from scoring.control.domain.people import Right
from scoring.control.domain.policy_life import (
    PolicyState,
    PolicyVersion,
    differing,
)
from scoring.errors import ChangedMeanwhile, InvalidTransaction

router = APIRouter(prefix="/v1", tags=["policies"], route_class=StrictRoute)
NUMBER_MAX = 2**53
NumberInPath = Annotated[int, Path(ge=1, le=NUMBER_MAX)]
IfMatch = Annotated[
    str,
    Header(
        max_length=100, description="The `ETag` that was read; another is refused, 412."
    ),
]
_TAG = re.compile(r'"(?P<number>\d{1,15})\.(?P<revision>\d{1,9})\.(?P<state>[a-z]+)"')
_RELEASE_TAG = re.compile(r'"(\d{1,15})"')


def tag_of(policy: PolicyVersion) -> str:
    """The entity tag of a version: it changes with each edit and each state."""
    return f'"{policy.number}.{policy.revision}.{policy.state}"'


@router.get("/policies", operation_id="listPolicies")
def list_policies(
    by: Visiting,
    state: PolicyState | None = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> views.Page[views.PolicyView]:
    """List versions, the newest first."""
    with by.policies.read(by.person) as work:
        found = work.policies.policies(
            state=state or "", below=place_of(cursor), count_max=limit + 1
        )
    more = cursor_at(found[limit - 1].number) if len(found) > limit else None
    items = [views.PolicyView.of(each) for each in found[:limit]]
    return views.Page(items=items, next=more)


@router.post("/policies", operation_id="draftPolicy", status_code=HTTPStatus.CREATED)
def draft_policy(
    by: Visiting, wish: wishes.DraftWish, response: Response
) -> views.DoneView:
    """Draft a version."""
    answer = by.policies.draft(
        by.because(wish.why), wish.text, reasons=wish.reasons, based_on=wish.based_on
    )
    return _done(by, answer, response, made=True)


@router.post("/policy-check", operation_id="checkPolicy")
def check_policy(by: Visiting, wish: wishes.TextWish) -> views.CheckedView:
    """Check a text as a draft would be, and keep nothing."""
    checked = by.plane.texts.checked(wish.text, wish.reasons)
    return views.CheckedView(
        version=checked.version,
        name=checked.name,
        lists=list(checked.lists),
        remarks=list(checked.remarks),
    )


@router.get("/policies/{number}", operation_id="getPolicy")
def get_policy(
    by: Visiting, number: NumberInPath, response: Response
) -> views.PolicyView:
    """Get a version with its text."""
    with by.policies.read(by.person) as work:
        policy = work.policies.policy(number)
    response.headers["etag"] = tag_of(policy)
    return views.PolicyView.of(policy, whole=True)


@router.get("/versions/{version}", operation_id="getVersion")
def get_version(
    by: Visiting, version: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
) -> views.Page[views.PolicyView]:
    """List the versions of a hash: what a decision names, back to its text."""
    with by.policies.read(by.person) as work:
        found = work.policies.of_version(version)
    items = [views.PolicyView.of(each, whole=True) for each in found]
    return views.Page(items=items, next=None)


@router.put(
    "/policies/{number}",
    operation_id="editPolicy",
    responses={201: {"description": "It is no draft: a new one is based on it."}},
)
def edit_policy(
    by: Visiting,
    number: NumberInPath,
    wish: wishes.EditWish,
    response: Response,
    if_match: IfMatch = "",
) -> views.DoneView:
    """Give a draft another text; of what is none any more, make a draft."""
    with by.policies.read(by.person) as work:
        policy = work.policies.policy(number)
    revision = _revision(if_match, policy)
    answer = by.policies.edit(
        by.because(wish.why), number, wish.text, revision=revision, reasons=wish.reasons
    )
    return _done(by, answer, response, made=answer.policy.number != number)


@router.get("/policies/{number}/diff", operation_id="diffPolicies")
def diff_policies(
    by: Visiting,
    number: NumberInPath,
    against: Annotated[int | None, Query(ge=1, le=NUMBER_MAX)] = None,
) -> views.DiffView:
    """Compare a version's text: against another, what it is based on, or in force."""
    with by.policies.read(by.person) as work:
        policy = work.policies.policy(number)
        in_force = work.policies.in_force()
        other = against or policy.based_on
        if other is None and in_force is not None:
            other = in_force.arrangement.policy
        if other is None:
            raise InvalidTransaction("against", "name a version to compare with")
        lines = differing(work.policies.policy(other).checked, policy.checked)
    return views.DiffView(policy=number, against=other, lines=list(lines))


@router.post(
    "/policies/{number}/proposals",
    operation_id="proposePolicy",
    status_code=HTTPStatus.CREATED,
)
def propose_policy(
    by: Visiting,
    number: NumberInPath,
    wish: wishes.ProposalWish,
    response: Response,
) -> views.DoneView:
    """Propose a version for an act; its text never changes from then on."""
    answer = by.policies.propose(
        by.because(wish.why), number, wish.act, share=wish.share
    )
    return _done(by, answer, response)


@router.post("/policies/{number}/retirement", operation_id="retirePolicy")
def retire_policy(
    by: Visiting,
    number: NumberInPath,
    wish: wishes.WhyWish,
    response: Response,
    if_match: IfMatch = "",
) -> views.DoneView:
    """Stop a candidate or a shadow, or end a version that does not run."""
    answer = by.policies.retire(
        by.because(wish.why), number, read=_release_read(if_match)
    )
    return _done(by, answer, response)


@router.get("/proposals", operation_id="listProposals")
def list_proposals(
    by: Visiting,
    stage: ProposalStage | None = None,
    policy: Annotated[int | None, Query(ge=1, le=NUMBER_MAX)] = None,
) -> views.Page[views.ProposalView]:
    """List proposals, the newest first."""
    with by.policies.read(by.person) as work:
        found = work.policies.proposals(policy=policy, stage=stage or "")
    return views.Page(items=[views.ProposalView.of(each) for each in found], next=None)


@router.get("/proposals/{number}/gate", operation_id="askGate")
def ask_gate(by: Visiting, number: NumberInPath) -> views.GateView:
    """Say what the gate asks a written reason for."""
    return views.GateView(because=list(by.policies.gate(by.person, number)))


@router.post("/proposals/{number}/approval", operation_id="approveProposal")
def approve_proposal(
    by: Visiting,
    number: NumberInPath,
    wish: wishes.ApprovalWish,
    response: Response,
) -> views.DoneView:
    """Approve a proposal: of this hash, for its act, to be used once."""
    answer = by.policies.approve(
        by.because(wish.why), number, wish.version, at_once=wish.at_once
    )
    return _done(by, answer, response)


@router.post("/proposals/{number}/rejection", operation_id="rejectProposal")
def reject_proposal(
    by: Visiting,
    number: NumberInPath,
    wish: wishes.WhyWish,
    response: Response,
) -> views.DoneView:
    """Reject a proposal, or withdraw one's own."""
    return _done(by, by.policies.reject(by.because(wish.why), number), response)


@router.get("/releases", operation_id="listReleases")
def list_releases(
    by: Visiting, cursor: Cursor = "", limit: Limit = 50
) -> views.Page[views.ReleaseView]:
    """List releases, the newest first."""
    with by.policies.read(by.person) as work:
        found = work.policies.releases(below=place_of(cursor), count_max=limit + 1)
    more = cursor_at(found[limit - 1].number) if len(found) > limit else None
    items = [views.ReleaseView.of(each) for each in found[:limit]]
    return views.Page(items=items, next=more)


@router.get("/releases/current", operation_id="getRelease")
def get_release(by: Visiting, response: Response) -> views.ReleaseView:
    """Get what the data plane shall run."""
    with by.policies.read(by.person) as work:
        kept = work.policies.in_force()
    if kept is None:
        raise problem(
            HTTPStatus.NOT_FOUND,
            "not-found",
            "nothing was released yet",
            remedy="propose a version, have it approved, and release it",
        )
    response.headers["etag"] = f'"{kept.number}"'
    return views.ReleaseView.of(kept)


@router.post("/releases", operation_id="release", status_code=HTTPStatus.CREATED)
def release(
    by: Visiting, wish: wishes.ActWish, response: Response, if_match: IfMatch = ""
) -> views.DoneView:
    """Do what was approved: release a version, or run it as candidate or shadow."""
    answer = _acted(by, wish, _release_read(if_match))
    return _done(by, answer, response)


@router.post(
    "/releases/rollback", operation_id="rollBack", status_code=HTTPStatus.CREATED
)
def roll_back(
    by: Visiting, wish: wishes.RollbackWish, response: Response, if_match: IfMatch = ""
) -> views.DoneView:
    """Return to the version before at once; to an earlier one by a proposal."""
    by.person.needs(Right.ROLL_BACK)
    if not if_match:  # repeated after a lost answer, it would go back twice
        raise _unread("a rollback says from which release", "/v1/releases/current")
    answer = by.policies.rollback(
        by.because(wish.why), to=wish.to, read=_release_read(if_match)
    )
    return _done(by, answer, response, made=True)


@router.post(
    "/releases/rearmed", operation_id="rearmBreaker", status_code=HTTPStatus.CREATED
)
def rearm_breaker(
    by: Visiting, wish: wishes.RearmWish, response: Response, if_match: IfMatch = ""
) -> views.DoneView:
    """Let the breaker of a rule begin anew."""
    answer = by.policies.rearm(
        by.because(wish.why), wish.rule, read=_release_read(if_match)
    )
    return _done(by, answer, response)


@router.post(
    "/releases/republish", operation_id="republish", status_code=HTTPStatus.CREATED
)
def republish(
    by: Visiting, wish: wishes.WhyWish, response: Response, if_match: IfMatch = ""
) -> views.DoneView:
    """Release what is in force here once more: after a restore from a backup."""
    answer = by.policies.republish(by.because(wish.why), read=_release_read(if_match))
    return _done(by, answer, response)


def _acted(by: Visitor, wish: wishes.ActWish, read: int | None) -> PolicyAnswer:
    asking = by.because(wish.why)
    if wish.act is Act.CANDIDATE:
        if wish.share is None:
            raise InvalidTransaction("share", "a candidate has one; send 0.05 for 5 %")
        return by.policies.candidate(asking, wish.policy, wish.share, read=read)
    if wish.share is not None:
        raise InvalidTransaction("share", "only a candidate has one; leave it out")
    if wish.act is Act.SHADOW:
        return by.policies.shadow(asking, wish.policy, read=read)
    return by.policies.release(asking, wish.policy, read=read)


def _done(
    by: Visitor, answer: PolicyAnswer, response: Response, *, made: bool = False
) -> views.DoneView:
    by.plane.committed()
    response.headers["etag"] = tag_of(answer.policy)
    if made:
        response.status_code = HTTPStatus.CREATED
        response.headers["location"] = f"/v1/policies/{answer.policy.number}"
    return views.DoneView.of(answer)


def _unread(why: str, path: str) -> Exception:
    return problem(
        HTTPStatus.PRECONDITION_REQUIRED,
        "precondition-required",
        why,
        field="if-match",
        remedy=f"send the ETag of GET {path} as If-Match",
    )


def _revision(if_match: str, policy: PolicyVersion) -> int:
    """The revision that was read.

    Raises `ChangedMeanwhile` where the state is another; what is different in the text
    the desk says.
    """
    if not if_match:
        raise _unread("an edit says which revision it is of", "/v1/policies/{number}")
    tag = _TAG.fullmatch(if_match)
    if tag is None or int(tag["number"]) != policy.number:
        raise InvalidTransaction(
            "if-match", "is no ETag of this version; send the one of GET as it is"
        )
    revision = int(tag["revision"])
    if tag["state"] != policy.state and revision == policy.revision:
        raise ChangedMeanwhile(
            f"if-match: version {policy.number} is {policy.state} now; read it again",
            (f"-state: {tag['state']}", f"+state: {policy.state}"),
        )
    return revision


def _release_read(if_match: str) -> int | None:
    """The number of the release that was read, None where none is named."""
    if not if_match:
        return None
    tag = _RELEASE_TAG.fullmatch(if_match)
    if tag is None:
        raise InvalidTransaction(
            "if-match", "is no ETag of a release; send that of GET /v1/releases/current"
        )
    return int(tag[1])
